// SPDX-License-Identifier: Apache-2.0
// The exchange of GPT-2 with Hugging Face's transformers: a folder with config.json and
// model.safetensors, or weights in several files.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "common/models/gpt2.hpp"

namespace examples {

// Makes the model that config.json describes, with the weights of model.safetensors or of the
// several files that model.safetensors.index.json names (weight_files.hpp). Read are float32,
// float16 and bfloat16, names with and without the prefix "transformer.", a head (lm_head.weight)
// that is equal to the token embedding, and the buffers attn.bias and attn.masked_bias of old
// files, which are ignored. The projections' weights are stored transposed (Conv1D). `dropout`,
// where it is given, replaces that of config.json, and `recompute` is Gpt2Options::recompute.
//
// Throws std::runtime_error naming the file: for one that cannot be read or is damaged, for a
// config.json of another architecture or activation (only gelu_new, which is the approximation by
// tanh), with other scales of the attention or three kinds of dropout that are not equal
// (unless `dropout` replaces them), for a head of its own, and for tensors that are missing,
// unknown or of a wrong shape, of which it lists up to five each. Throws std::invalid_argument for
// a `dropout` out of range.
std::shared_ptr<Gpt2> load_gpt2(const std::filesystem::path& folder,
                                std::optional<double> dropout = {}, bool recompute = false);

// Writes the two files, in float32, as transformers' GPT2LMHeadModel.from_pretrained(folder) reads
// them. Adapters are merged. Throws std::runtime_error naming the file that cannot be written;
// both are then as before (save_model_files()).
void save_gpt2(const Gpt2& model, const std::filesystem::path& folder);

}  // namespace examples
