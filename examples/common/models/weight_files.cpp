// SPDX-License-Identifier: Apache-2.0
#include "common/models/weight_files.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "common/data/file_error.hpp"
#include "common/json_text.hpp"
#include "common/models/model_files.hpp"

namespace examples {
namespace {

// Whether the index may name this file: an index from elsewhere must not lead to other folders.
bool is_shard_name(const nlohmann::json& name) {
  constexpr size_t kMostBytes = 255;  // of a file's name
  if (!name.is_string()) return false;
  const auto& text = name.get_ref<const std::string&>();
  return text.size() <= kMostBytes &&
         text.find_first_of(std::string("/\\\0", 3)) == std::string::npos &&
         std::filesystem::path(text).extension() == ".safetensors";
}

// From tensors to files.
std::map<std::string, std::string> read_weight_map(const std::filesystem::path& file) {
  const JsonFile index(file);
  const nlohmann::json& list = index.value("weight_map");
  if (!list.is_object() || list.empty()) {
    index.fail("weight_map", "must be an object from tensors to files; get the file again");
  }
  std::map<std::string, std::string> places;
  for (const auto& item : list.items()) {
    if (!is_shard_name(item.value())) {
      fail_file(file, fmt::format("weight_map has {} for {}, but must have the name of a file in "
                                  "the same folder that ends in .safetensors; get the file again",
                                  json_text(item.value()), json_text(nlohmann::json(item.key()))));
    }
    places[item.key()] = item.value().get<std::string>();
  }
  return places;
}

// Throws unless the index gives the shard just the tensors that it has.
void check_shard(const WeightFiles& weights, const std::filesystem::path& file,
                 const Safetensors& shard) {
  const std::string shard_name = file.filename().string();
  for (const std::string& name : shard.names()) {
    const auto place = weights.places.find(name);
    if (place != weights.places.end() && place->second == shard_name) continue;
    const std::string given =
        place == weights.places.end() ? "does not list" : "gives to " + place->second;
    fail_file(file, fmt::format("has the tensor {}, which {} {}; get all files again", name,
                                kWeightsIndex, given));
  }
  for (const auto& [name, place] : weights.places) {
    if (place != shard_name || shard.has(name)) continue;
    fail_file(file, fmt::format("lacks the tensor {}, which {} gives to it; get all files again",
                                name, kWeightsIndex));
  }
}

}  // namespace

WeightFiles::WeightFiles(const std::filesystem::path& folder) : listing(folder / kWeightsFile) {
  const std::filesystem::path index = folder / kWeightsIndex;
  if (std::filesystem::exists(listing) || !std::filesystem::exists(index)) {
    files = {listing};
    return;
  }
  listing = index;
  places = read_weight_map(index);
  std::set<std::string> names;
  for (const auto& item : places) names.insert(item.second);
  for (const std::string& name : names) files.push_back(folder / name);
}

Safetensors WeightFiles::open() const {
  if (places.empty()) return Safetensors(files.front());
  for (const std::filesystem::path& file : files) {
    if (std::filesystem::exists(file)) continue;
    fail_file(file, fmt::format("is missing; get it, because all {} files that {} names are needed",
                                files.size(), kWeightsIndex));
  }
  std::vector<Safetensors> shards;
  for (const std::filesystem::path& file : files) {
    shards.emplace_back(file);
    check_shard(*this, file, shards.back());
  }
  return Safetensors(shards);
}

}  // namespace examples
