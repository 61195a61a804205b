// SPDX-License-Identifier: Apache-2.0
// The exchange of a module's parameters and buffers with Python, as the file of
//   torch.save(model.state_dict(), file)
// which Python reads again by
//   model.load_state_dict(torch.load(file, weights_only=True))
#pragma once

#include <torch/torch.h>

#include <filesystem>

namespace examples {

// Copies the file's tensors into the parameters and buffers of the same names. A plain dictionary
// from names to tensors is read as well. Types may differ; values are converted.
//
// Throws std::runtime_error that names the file and changes nothing in the module if the file
// cannot be read, is damaged or holds something else, or if names or shapes differ: the message
// has up to five names that the file lacks, that the module lacks, and whose shapes differ.
void load_state_dict(torch::nn::Module& module, const std::filesystem::path& file);

// Writes all parameters and buffers to a file that appears when all of it is on disk. Throws
// std::runtime_error that names the file if it cannot be written.
void save_state_dict(const torch::nn::Module& module, const std::filesystem::path& file);

}  // namespace examples
