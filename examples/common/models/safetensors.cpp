// SPDX-License-Identifier: Apache-2.0
// Reading a file: safetensors_header.cpp checks the header, here its tensors are made. Writing.
#include "common/models/safetensors.hpp"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "common/atomic_file.hpp"
#include "common/data/file_error.hpp"
#include "common/data/memory_map.hpp"
#include "common/models/safetensors_header.hpp"

namespace examples {
namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the format is little-endian");

constexpr const char* kMetadataName = "__metadata__";

using SafetensorsItem = std::pair<const std::string, torch::Tensor>;

// The tensor's place in kSafetensorsTypes. Throws std::invalid_argument for a tensor that the
// format cannot hold.
size_t type_to_save(const SafetensorsItem& item) {
  const auto& [name, tensor] = item;
  const auto fail = [&name = name](const std::string& what) {
    throw std::invalid_argument(fmt::format("safetensors: the tensor {} {}", name, what));
  };
  if (name == kMetadataName) fail("has a name that the format reserves; choose another one");
  if (!tensor.defined()) fail("is undefined; leave it out");
  if (tensor.layout() != at::kStrided) fail("is not dense; convert it by to_dense()");
  if (tensor.dim() > kMostSafetensorsDimensions) {
    fail(fmt::format("has {} dimensions, but at most {} are allowed; reshape it", tensor.dim(),
                     kMostSafetensorsDimensions));
  }
  for (size_t i = 0; i < kSafetensorsTypes.size(); ++i) {
    if (kSafetensorsTypes[i].type == tensor.scalar_type()) return i;
  }
  fail(fmt::format("has the type {}, which the format lacks; convert it first",
                   c10::toString(tensor.scalar_type())));
  return 0;
}

// The order of the tensors in a file, which is that of the Python package: types from the largest
// alignment to the smallest, so that all tensors are aligned, and then names.
std::vector<const SafetensorsItem*> saving_order(
    const std::map<std::string, torch::Tensor>& tensors) {
  std::vector<std::pair<size_t, const SafetensorsItem*>> items;
  for (const SafetensorsItem& item : tensors) items.emplace_back(type_to_save(item), &item);
  std::stable_sort(items.begin(), items.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<const SafetensorsItem*> order;
  for (const auto& item : items) order.push_back(item.second);
  return order;
}

// The JSON, with spaces at the end so that the data begins at a multiple of 8 bytes.
std::string header_to_save(const std::vector<const SafetensorsItem*>& order,
                           const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header[kMetadataName] = metadata;
  int64_t begin = 0;
  for (const SafetensorsItem* item : order) {
    const torch::Tensor& tensor = item->second;
    const int64_t end = begin + tensor.numel() * static_cast<int64_t>(tensor.element_size());
    nlohmann::ordered_json& entry = header[item->first];
    entry["dtype"] = kSafetensorsTypes[type_to_save(*item)].name;
    entry["shape"] = tensor.sizes().vec();
    entry["data_offsets"] = {begin, end};
    begin = end;
  }
  try {
    std::string text = header.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');
    return text;
  } catch (const nlohmann::json::exception&) {
    throw std::invalid_argument("safetensors: a name or the metadata is not UTF-8; choose another");
  }
}

}  // namespace

struct Safetensors::File {
  explicit File(const std::filesystem::path& file)
      : map(file), header(file, map.data(), map.size()) {}

  // Throws std::runtime_error naming the file if there is no such tensor.
  const SafetensorsEntry& entry(const std::string& name) const {
    const SafetensorsEntry* found = header.find(name);
    if (found == nullptr) {
      fail_file(map.file(),
                fmt::format("has no tensor {}; check that the file is the model's", name));
    }
    return *found;
  }

  MemoryMap map;
  SafetensorsHeader header;
};

Safetensors::Safetensors(const std::filesystem::path& file)
    : files_{std::make_shared<const File>(file)} {}

Safetensors::Safetensors(const std::vector<Safetensors>& shards) {
  for (const Safetensors& shard : shards) {
    files_.insert(files_.end(), shard.files_.begin(), shard.files_.end());
  }
  if (files_.empty()) {
    throw std::invalid_argument("safetensors: there must be one file at least, but there is none");
  }
}

const std::shared_ptr<const Safetensors::File>& Safetensors::file_of(
    const std::string& name) const {
  const auto found = std::find_if(files_.begin(), files_.end(), [&name](const auto& file) {
    return file->header.find(name) != nullptr;
  });
  return found == files_.end() ? files_.front() : *found;
}

std::vector<std::string> Safetensors::names() const {
  std::vector<std::string> result;
  for (const auto& file : files_) {
    result.reserve(result.size() + file->header.entries().size());
    for (const auto& entry : file->header.entries()) result.emplace_back(file->header.name(entry));
  }
  if (files_.size() > 1) std::sort(result.begin(), result.end());
  return result;
}

bool Safetensors::has(const std::string& name) const {
  return file_of(name)->header.find(name) != nullptr;
}

at::IntArrayRef Safetensors::shape(const std::string& name) const {
  const auto& file = file_of(name);
  return file->header.shape(file->entry(name));
}

at::ScalarType Safetensors::type(const std::string& name) const {
  return kSafetensorsTypes[file_of(name)->entry(name).type].type;
}

torch::Tensor Safetensors::tensor(const std::string& name) const {
  const auto& file = file_of(name);
  const SafetensorsEntry& entry = file->entry(name);
  const at::ScalarType type = kSafetensorsTypes[entry.type].type;
  const uint8_t* bytes = file->map.data() + file->header.data_begin() + entry.begin;
  const int64_t size = entry.end - entry.begin;
  // LibTorch's behaviour is undefined for a bool that is neither 0 nor 1.
  if (type == at::kBool && std::any_of(bytes, bytes + size, [](uint8_t b) { return b > 1; })) {
    fail_file(file->map.file(),
              fmt::format("the tensor {} has a BOOL other than 0 and 1; save it again", name));
  }
  const at::IntArrayRef shape = file->header.shape(entry);
  if (reinterpret_cast<uintptr_t>(bytes) % c10::elementSize(type) != 0) {
    torch::Tensor copy = torch::empty(shape, type);
    if (size > 0) std::memcpy(copy.mutable_data_ptr(), bytes, static_cast<size_t>(size));
    return copy;
  }
  return torch::from_blob(
      const_cast<uint8_t*>(bytes), shape, [file = file](void* /*bytes*/) {}, type);
}

const std::map<std::string, std::string>& Safetensors::metadata() const {
  return files_.front()->header.metadata();
}

void save_safetensors(const std::filesystem::path& file,
                      const std::map<std::string, torch::Tensor>& tensors,
                      const std::map<std::string, std::string>& metadata) {
  const torch::NoGradGuard no_grad;
  const std::vector<const SafetensorsItem*> order = saving_order(tensors);
  const std::string header = header_to_save(order, metadata);
  const uint64_t size = header.size();
  AtomicFile out(file);
  out.write(&size, sizeof size);
  out.write(header.data(), header.size());
  for (const SafetensorsItem* item : order) {
    const torch::Tensor plain = item->second.detach().cpu().contiguous();
    out.write(plain.const_data_ptr(), plain.nbytes());
  }
  out.commit();
}

}  // namespace examples
