// SPDX-License-Identifier: Apache-2.0
#include "common/trained_weights.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cstddef>

namespace examples {
namespace {

bool is_all_trained(const torch::nn::Module& module) {
  const auto parameters = module.parameters();
  return std::all_of(parameters.begin(), parameters.end(),
                     [](const torch::Tensor& parameter) { return parameter.requires_grad(); });
}

void save_trained(const torch::nn::Module& module, torch::serialize::OutputArchive& archive) {
  if (is_all_trained(module)) return module.save(archive);
  for (const auto& item : module.named_parameters(/*recurse=*/false)) {
    if (item.value().requires_grad()) archive.write(item.key(), item.value());
  }
  for (const auto& item : module.named_buffers(/*recurse=*/false)) {
    archive.write(item.key(), item.value(), /*is_buffer=*/true);
  }
  for (const auto& item : module.named_children()) {
    if (!item.value()->is_serializable()) continue;
    torch::serialize::OutputArchive child(archive.compilation_unit());
    save_trained(*item.value(), child);
    archive.write(item.key(), child);
  }
}

void load_trained(torch::nn::Module& module, torch::serialize::InputArchive& archive) {
  if (is_all_trained(module)) return module.load(archive);
  for (auto& item : module.named_parameters(/*recurse=*/false)) {
    if (item.value().requires_grad()) archive.read(item.key(), item.value());
  }
  for (auto& item : module.named_buffers(/*recurse=*/false)) {
    archive.read(item.key(), item.value(), /*is_buffer=*/true);
  }
  for (const auto& item : module.named_children()) {
    if (!item.value()->is_serializable()) continue;
    torch::serialize::InputArchive child;
    archive.read(item.key(), child);
    load_trained(*item.value(), child);
  }
}

}  // namespace

void TrainedWeights::save(torch::serialize::OutputArchive& archive) const {
  save_trained(module_, archive);
}

void TrainedWeights::load(torch::serialize::InputArchive& archive) {
  load_trained(module_, archive);
}

std::string frozen_checksum(const torch::nn::Module& module) {
  uLong crc = 0;
  size_t bytes = 0;
  for (const torch::Tensor& parameter : module.parameters()) {
    if (parameter.requires_grad()) continue;
    const torch::Tensor data = parameter.detach().cpu().contiguous();
    crc = crc32_z(crc, static_cast<const Bytef*>(data.data_ptr()), data.nbytes());
    bytes += data.nbytes();
  }
  return bytes == 0 ? "" : fmt::format("{}-{:08x}", bytes, crc);
}

}  // namespace examples
