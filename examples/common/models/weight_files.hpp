// SPDX-License-Identifier: Apache-2.0
// The weights in a folder of transformers: one file, or several (shards) that an index lists, as
// save_pretrained(max_shard_size=...) writes them for large models.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "common/models/safetensors.hpp"

namespace examples {

inline constexpr const char* kWeightsFile = "model.safetensors";
inline constexpr const char* kWeightsIndex = "model.safetensors.index.json";

struct WeightFiles {
  // Finds the files. The index, {"weight_map": {TENSOR: FILE, ...}}, is read where there is no
  // model.safetensors; other entries of it are ignored. Throws std::runtime_error naming the index
  // if it cannot be read, has more than 1 MB, is no JSON object, lacks the map, has an empty map,
  // or names a file that does not lie in the folder itself or does not end in ".safetensors".
  explicit WeightFiles(const std::filesystem::path& folder);

  // The tensors of all files. Throws std::runtime_error naming the file: for one that is missing,
  // cannot be read or is damaged, and where the index gives a file a tensor that it lacks, or not
  // the tensors that it has, so that no tensor is in two files.
  Safetensors open() const;

  std::filesystem::path listing;              // the index, or the one file: for messages
  std::vector<std::filesystem::path> files;   // in alphabetical order, one at least
  std::map<std::string, std::string> places;  // from tensors to files; empty without an index
};

}  // namespace examples
