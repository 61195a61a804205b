// SPDX-License-Identifier: Apache-2.0
#include "common/models/model_files.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <set>
#include <system_error>

#include "common/atomic_file.hpp"
#include "common/data/file_error.hpp"
#include "common/data/memory_map.hpp"
#include "common/json_text.hpp"

namespace examples {
namespace {

constexpr int64_t kMostJsonBytes = 1 << 20;

// "; WHAT: a, b" with at most five of the names; nothing if there are none.
std::string listed_tensors(const char* what, const std::vector<std::string>& names) {
  constexpr size_t kMostNames = 5;
  if (names.empty()) return "";
  const size_t shown = std::min(names.size(), kMostNames);
  const auto end = names.begin() + static_cast<std::ptrdiff_t>(shown);
  const size_t more = names.size() - shown;
  return fmt::format("; {}: {}{}", what, fmt::join(names.begin(), end, ", "),
                     more > 0 ? fmt::format(" and {} more", more) : "");
}

}  // namespace

JsonFile::JsonFile(const std::filesystem::path& file) : file_(file) {
  const MemoryMap bytes(file);
  if (bytes.size() > kMostJsonBytes) {
    fail_file(file, fmt::format("has {} bytes, but settings have at most {}; get the file again",
                                bytes.size(), kMostJsonBytes));
  }
  object_ = nlohmann::json::parse(bytes.data(), bytes.data() + bytes.size(), /*callback=*/nullptr,
                                  /*allow_exceptions=*/false);
  if (!object_.is_object()) fail_file(file, "is no JSON object; get the file again");
}

const nlohmann::json& JsonFile::value(const std::string& name) const {
  static const nlohmann::json null;
  const auto found = object_.find(name);
  return found == object_.end() ? null : *found;
}

int64_t JsonFile::size(const std::string& name) const {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  const nlohmann::json& number = value(name);
  const bool whole = number.is_number_unsigned() && number.get<uint64_t>() >= 1 &&
                     number.get<uint64_t>() <= static_cast<uint64_t>(kMost);
  if (!whole) fail(name, fmt::format("must be a whole number of 1 to {}", kMost));
  return number.get<int64_t>();
}

void JsonFile::check(const std::string& name, const nlohmann::json& expected) const {
  const nlohmann::json& found = value(name);
  if (!found.is_null() && found != expected) {
    fail(name, fmt::format("must be {}, because no other value is supported", expected.dump()));
  }
}

void JsonFile::fail(const std::string& name, const std::string& rule) const {
  fail_file(file_, fmt::format("{} is {}, but {}", name, json_text(value(name)), rule));
}

void check_tensors(const Safetensors& tensors, const std::filesystem::path& file,
                   const TensorShapes& expected, const std::vector<std::string>& ignored) {
  const std::set<std::string> may_be_there(ignored.begin(), ignored.end());
  std::vector<std::string> missing, unknown, wrong;
  for (const auto& [name, shape] : expected) {
    if (!tensors.has(name)) {
      missing.push_back(name);
      continue;
    }
    const at::IntArrayRef found = tensors.shape(name);
    if (found != at::IntArrayRef(shape)) {
      wrong.push_back(
          fmt::format("{} [{}], not [{}]", name, fmt::join(found, ", "), fmt::join(shape, ", ")));
    }
    const at::ScalarType type = tensors.type(name);
    if (type != at::kFloat && type != at::kHalf && type != at::kBFloat16) {
      fail_file(file, fmt::format("{} is of type {}, but must be float32, float16 or bfloat16; "
                                  "convert it in Python",
                                  name, c10::toString(type)));
    }
  }
  for (const std::string& name : tensors.names()) {
    if (expected.count(name) == 0 && may_be_there.count(name) == 0) unknown.push_back(name);
  }
  const std::string what = listed_tensors("missing", missing) + listed_tensors("unknown", unknown) +
                           listed_tensors("wrong shapes", wrong);
  if (what.empty()) return;
  fail_file(file, "is of another model than the settings beside it" + what +
                      ". Take both from the same folder");
}

void save_model_files(const std::filesystem::path& tensors_file,
                      const std::map<std::string, torch::Tensor>& tensors,
                      const std::filesystem::path& settings_file,
                      const nlohmann::ordered_json& settings) {
  std::error_code error;
  std::filesystem::create_directories(tensors_file.parent_path(), error);  // writing tells failures
  const std::filesystem::path waiting = settings_file.string() + ".new";
  write_atomically(waiting, settings.dump(2) + "\n");
  try {
    save_safetensors(tensors_file, tensors, {{"format", "pt"}});
  } catch (...) {
    std::filesystem::remove(waiting, error);
    throw;
  }
  std::filesystem::rename(waiting, settings_file, error);
  if (error) {
    fail_file(settings_file, fmt::format("cannot be written: {}; rename {} to it", error.message(),
                                         waiting.filename().string()));
  }
}

}  // namespace examples
