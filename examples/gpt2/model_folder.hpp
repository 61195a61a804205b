// SPDX-License-Identifier: Apache-2.0
// The folder that holds a trained model: config.json and model.safetensors as transformers reads
// them, the vocabulary, the posterior, and adapters where there are some.
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

// Writes all of it, without the model's weights where the adapters of `lora` were trained:
// `base` is then the folder of the weights. Throws std::runtime_error naming the file that cannot
// be written.
void save_model(const std::filesystem::path& folder, const examples::Gpt2& model,
                const examples::Tokenizer& tokenizer,
                const std::optional<ivon::Posterior>& posterior);
void save_adapters(const std::filesystem::path& folder, const examples::Gpt2& model,
                   const examples::LoraOptions& lora, const std::filesystem::path& base,
                   const examples::Tokenizer& tokenizer,
                   const std::optional<ivon::Posterior>& posterior);

// Reads such a folder. The vocabulary may lie in `vocabulary` instead, for weights from elsewhere;
// empty: in `folder`. Throws std::invalid_argument if `folder` is empty, std::runtime_error naming
// the file if one is missing, damaged or does not fit the others.
TrainedModel load_model(const std::filesystem::path& folder,
                        const std::filesystem::path& vocabulary, const torch::Device& device);

}  // namespace gpt2
