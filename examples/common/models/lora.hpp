// SPDX-License-Identifier: Apache-2.0
// Low-rank adapters for GPT-2 (LoRA: Hu et al. 2021, arXiv 2106.09685), trained while the weights
// themselves stay as they are.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/models/gpt2.hpp"

namespace examples {

struct LoraOptions {
  int64_t rank = 8;
  double alpha = 16;  // the adapter is scaled by alpha / rank
  // The projections that get one, by the ends of their names.
  std::vector<std::string> targets = {"c_attn", "c_proj", "c_fc"};
};

// Adds adapters to the model and stops the training of all other parameters. `seed` decides the
// initial adapters. Throws std::invalid_argument if no projection has such a name, or for a rank
// out of range.
void add_lora(Gpt2& model, const LoraOptions& options, uint64_t seed);

// The projections with one of the names in LoraOptions::targets, as add_lora() and Hugging Face's
// `peft` choose them, with their names.
std::vector<std::pair<std::string, std::shared_ptr<Projection>>> lora_projections(
    const Gpt2& model, const std::vector<std::string>& targets);

// A model without adapters that computes the same: their products are added to the weights.
std::shared_ptr<Gpt2> merge_lora(const Gpt2& model);

// Writes adapter_model.safetensors and adapter_config.json, which Hugging Face's `peft` reads, into
// `folder`. Throws std::logic_error if the options are not those of the model's adapters, and
// std::runtime_error naming the file that cannot be written; both are then as
// before (save_model_files()).
void save_lora(const Gpt2& model, const LoraOptions& options, const std::filesystem::path& folder);

// Adds the adapters of such a folder to a model without any. Throws std::runtime_error naming the
// file if it cannot be read or does not fit the model, which is then as before.
LoraOptions load_lora(Gpt2& model, const std::filesystem::path& folder);

}  // namespace examples
