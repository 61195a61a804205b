// SPDX-License-Identifier: Apache-2.0
// The folder that holds a trained model: config.json and the weights (model.safetensors, or several
// files with an index) as transformers has them, the vocabulary, the posterior, and adapters where
// there are some.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <memory>
#include <optional>

#include "common/compiled_ivon.hpp"
#include "common/models/gpt2.hpp"
#include "common/models/lora.hpp"
#include "common/text/tokenizer.hpp"

namespace gpt2 {

struct TrainedModel {
  std::shared_ptr<examples::Gpt2> model;  // on the device, in evaluation mode, at the mean
  std::unique_ptr<examples::Tokenizer> tokenizer;
  std::optional<ivon::Posterior> posterior;  // on the device; of the adapters alone where there are
  std::optional<examples::LoraOptions> lora;
};

// Writes all of it, the weights in one file. What an earlier model has left in the folder is
// removed, but for weights in several files, which are ignored from then on.
void save_model(const std::filesystem::path& folder, const examples::Gpt2& model,
                const examples::Tokenizer& tokenizer,
                const std::optional<ivon::Posterior>& posterior);

// The same for a model of which adapters were trained: the weights themselves stay in the folder
// `base`, whose place and checksum are written. Both functions throw std::runtime_error naming the
// file that cannot be written.
void save_adapters(const std::filesystem::path& folder, const examples::Gpt2& model,
                   const examples::LoraOptions& lora, const std::filesystem::path& base,
                   const examples::Tokenizer& tokenizer,
                   const std::optional<ivon::Posterior>& posterior);

enum class Part { kAll, kModel };  // kModel: without the posterior

struct LoadSettings {
  Part part = Part::kAll;
  double dropout = 0;      // in training mode; that of the file is ignored
  bool recompute = false;  // as of Gpt2Options
};

// Reads such a folder. The vocabulary may lie in `vocabulary` instead, for weights from elsewhere;
// empty: in `folder`. Throws std::invalid_argument if `folder` is empty, std::runtime_error naming
// the file if one is missing, damaged or does not fit the others, or if the weights that adapters
// were trained on have changed.
TrainedModel load_model(const std::filesystem::path& folder,
                        const std::filesystem::path& vocabulary, const torch::Device& device,
                        const LoadSettings& settings = {});

// The checksum of the weights in such a folder. Throws std::invalid_argument if `folder` is empty.
std::string weights_checksum(const std::filesystem::path& folder);

// Throws std::invalid_argument naming both if `out`, or a folder that a run makes in it, is
// `trained`, which would be overwritten.
void check_other_folder(const std::filesystem::path& out, const std::filesystem::path& trained);

}  // namespace gpt2
