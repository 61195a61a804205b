// SPDX-License-Identifier: Apache-2.0
// Inside safetensors_header.cpp: the header's JSON becomes entries, without a tree of it in memory.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "common/data/file_error.hpp"
#include "common/models/safetensors_header.hpp"

namespace examples {

inline constexpr size_t kMostSafetensorsMetadata = 1000;

// Receives the parts of the JSON in their order. Returns from its functions whether to go on, which
// is always so, because it throws std::runtime_error where the header is wrong.
class SafetensorsHeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  SafetensorsHeaderReader(const std::filesystem::path& file, SafetensorsHeader& header)
      : file_(file), header_(header) {}

  bool null() override { return unexpected("null"); }
  bool boolean(bool /*value*/) override { return unexpected("a boolean"); }
  bool number_float(double /*value*/, const std::string& text) override {
    return unexpected("the number " + text.substr(0, kShownCharacters));
  }
  bool binary(binary_t& /*value*/) override { return unexpected("binary data"); }
  bool number_integer(int64_t value) override { return unexpected(fmt::format("{}", value)); }

  bool number_unsigned(uint64_t value) override {
    if (place_ != Place::kShape && place_ != Place::kOffsets) return unexpected("a number");
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      fail(fmt::format("has the number {}, but at most 2^63 - 1 are possible", value));
    }
    const auto number = static_cast<int64_t>(value);
    if (place_ == Place::kShape) {
      if (entry_.dimensions == kMostSafetensorsDimensions) {
        fail(fmt::format("has more than {} dimensions", kMostSafetensorsDimensions),
             "reshape it in Python");
      }
      header_.shapes_.push_back(number);
      ++entry_.dimensions;
    } else {
      if (offsets_ == 2) fail("must have two data_offsets, but has more");
      (offsets_ == 0 ? entry_.begin : entry_.end) = number;
      ++offsets_;
    }
    return true;
  }

  bool string(std::string& value) override {
    if (place_ == Place::kMetadata) {
      if (header_.metadata_.size() == kMostSafetensorsMetadata) {
        fail(fmt::format("has more than {} strings", kMostSafetensorsMetadata), "remove some");
      }
      if (!header_.metadata_.emplace(field_, value).second) {
        fail(fmt::format("has {} twice", shown(field_)));
      }
      return true;
    }
    if (place_ != Place::kTensor || field_ != "dtype") return unexpected("a string");
    const auto found =
        std::find_if(kSafetensorsTypes.begin(), kSafetensorsTypes.end(),
                     [&](const SafetensorsType& type) { return value == type.name; });
    if (found == kSafetensorsTypes.end()) {
      fail(fmt::format("has the type {}, but only I64, F64, F32, I32, BF16, F16, I16, I8, U8 and "
                       "BOOL are supported",
                       shown(value)),
           "convert it in Python");
    }
    entry_.type = static_cast<uint8_t>(found - kSafetensorsTypes.begin());
    return true;
  }

  bool start_object(size_t /*size*/) override {
    if (place_ == Place::kBegin) {
      place_ = Place::kTop;
    } else if (place_ == Place::kTop) {
      place_ = name_ == "__metadata__" ? Place::kMetadata : Place::kTensor;
      if (place_ == Place::kMetadata && std::exchange(has_metadata_, true)) fail("is there twice");
      if (place_ == Place::kTensor) begin_entry();
    } else {
      return unexpected("an object");
    }
    return true;
  }

  bool end_object() override {
    if (place_ == Place::kTensor) end_entry();
    place_ = Place::kTop;
    return true;
  }

  bool start_array(size_t /*size*/) override {
    if (place_ != Place::kTensor || field_ == "dtype") return unexpected("a list");
    place_ = field_ == "shape" ? Place::kShape : Place::kOffsets;
    return true;
  }

  bool end_array() override {
    if (place_ == Place::kOffsets && offsets_ != 2)
      fail(fmt::format("must have two data_offsets, but has {}", offsets_));
    place_ = Place::kTensor;
    return true;
  }

  bool key(std::string& value) override {
    if (place_ == Place::kTop) {
      name_ = std::move(value);
      return true;
    }
    field_ = std::move(value);
    if (place_ == Place::kMetadata) return true;
    constexpr std::array<const char*, kFields> kNames = {"dtype", "shape", "data_offsets"};
    const auto found = std::find(kNames.begin(), kNames.end(), field_);
    if (found == kNames.end()) {
      fail(fmt::format("may have dtype, shape and data_offsets only, but has {}", shown(field_)));
    }
    bool& has = has_field_.at(static_cast<size_t>(found - kNames.begin()));
    if (std::exchange(has, true)) fail(fmt::format("has {} twice", field_));
    return true;
  }

  bool parse_error(size_t position, const std::string& /*token*/,
                   const nlohmann::json::exception& /*error*/) override {
    fail_file(file_,
              fmt::format("its header is malformed JSON at byte {}; get the file again", position));
  }

 private:
  enum class Place { kBegin, kTop, kMetadata, kTensor, kShape, kOffsets };
  static constexpr size_t kFields = 3;
  static constexpr size_t kShownCharacters = 100;

  static std::string shown(const std::string& text) {
    return text.size() <= kShownCharacters ? text : text.substr(0, kShownCharacters) + "...";
  }

  [[noreturn]] void fail(const std::string& what, const char* remedy = "get the file again") const {
    fail_file(file_, fmt::format("its header: {} {}; {}", shown(name_), what, remedy));
  }

  [[noreturn]] bool unexpected(const std::string& what) const {
    if (place_ == Place::kBegin) {
      fail_file(file_, fmt::format("its header must be a JSON object, but is {}; it is no "
                                   "safetensors file",
                                   what));
    }
    if (place_ == Place::kTop) fail(fmt::format("must be an object, but is {}", what));
    fail(fmt::format("has {} in {}, where the format has none", what, shown(field_)));
  }

  void begin_entry() {
    entry_ = SafetensorsEntry();
    entry_.name_begin = static_cast<uint32_t>(header_.names_.size());
    entry_.name_size = static_cast<uint32_t>(name_.size());
    entry_.shape_begin = static_cast<uint32_t>(header_.shapes_.size());
    header_.names_ += name_;
    has_field_ = {};
    offsets_ = 0;
  }

  // Checks that the sizes do not overflow and that shape, type and offsets fit.
  void end_entry() {
    if (std::count(has_field_.begin(), has_field_.end(), true) != kFields) {
      fail("must have dtype, shape and data_offsets, but lacks one");
    }
    // Sizes of 0 count as 1 for the overflow, as they do in LibTorch's strides.
    auto bytes = static_cast<int64_t>(c10::elementSize(kSafetensorsTypes.at(entry_.type).type));
    bool empty = false;
    for (const int64_t size : header_.shape(entry_)) {
      empty = empty || size == 0;
      if (__builtin_mul_overflow(bytes, std::max<int64_t>(size, 1), &bytes)) {
        fail("has a shape of more than 2^63 - 1 bytes");
      }
    }
    if (empty) bytes = 0;
    if (entry_.end < entry_.begin || entry_.end - entry_.begin != bytes) {
      fail(fmt::format("needs {} bytes, but has data_offsets {} to {}", bytes, entry_.begin,
                       entry_.end));
    }
    header_.entries_.push_back(entry_);
  }

  const std::filesystem::path& file_;
  SafetensorsHeader& header_;
  Place place_ = Place::kBegin;
  bool has_metadata_ = false;
  std::string name_;   // of the tensor, or __metadata__
  std::string field_;  // dtype, shape or data_offsets, or the name of a string of the metadata
  SafetensorsEntry entry_;
  std::array<bool, kFields> has_field_ = {};
  int offsets_ = 0;  // number of data_offsets so far
};

}  // namespace examples
