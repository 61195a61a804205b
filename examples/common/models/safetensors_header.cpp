// SPDX-License-Identifier: Apache-2.0
#include "common/models/safetensors_header.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "common/data/file_error.hpp"

namespace examples {

constexpr int64_t kLengthBytesOfSafetensors = sizeof(uint64_t);
constexpr uint64_t kMostSafetensorsHeader = 100'000'000;  // the format's limit
constexpr size_t kMostSafetensorsMetadata = 1000;
// The JSON parser holds the token that it reads three times.
constexpr size_t kLongestSafetensorsToken = 1 << 20;
// The shortest entry: "":{"dtype":"U8","shape":[],"data_offsets":[0,1]},
constexpr size_t kShortestSafetensorsEntry = 50;

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
      fail(fmt::format("has the number {}, which is too large", value));
    }
    const auto number = static_cast<int64_t>(value);
    if (place_ == Place::kShape) {
      if (entry_.dimensions == kMostSafetensorsDimensions) {
        fail(fmt::format("has more than {} dimensions", kMostSafetensorsDimensions));
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
        fail(fmt::format("has more than {} strings", kMostSafetensorsMetadata));
      }
      if (!header_.metadata_.emplace(field_, std::move(value)).second) {
        fail(fmt::format("has {} twice", shown(field_)));
      }
      return true;
    }
    if (place_ != Place::kTensor || field_ != "dtype") return unexpected("a string");
    const auto found =
        std::find_if(kSafetensorsTypes.begin(), kSafetensorsTypes.end(),
                     [&](const SafetensorsType& type) { return value == type.name; });
    if (found == kSafetensorsTypes.end()) {
      fail(
          fmt::format("has the type {}, but only I64, F64, F32, I32, BF16, F16, I16, I8, U8 and "
                      "BOOL are supported; convert it in Python",
                      shown(value)));
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
    if (place_ == Place::kOffsets && offsets_ != 2) fail("must have two data_offsets");
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
    if (found == kNames.end()) fail(fmt::format("has the unknown field {}", shown(field_)));
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

  [[noreturn]] void fail(const std::string& what) const {
    fail_file(file_, fmt::format("{} {} in its header", shown(name_), what));
  }

  [[noreturn]] bool unexpected(const std::string& what) const {
    if (place_ == Place::kBegin) fail_file(file_, "its header must be a JSON object");
    fail(fmt::format("has {} where the format has none", what));
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
      fail("must have dtype, shape and data_offsets");
    }
    // Sizes of 0 count as 1 for the overflow, as they do in LibTorch's strides.
    auto bytes = static_cast<int64_t>(c10::elementSize(kSafetensorsTypes.at(entry_.type).type));
    bool empty = false;
    for (const int64_t size : header_.shape(entry_)) {
      empty = empty || size == 0;
      if (__builtin_mul_overflow(bytes, std::max<int64_t>(size, 1), &bytes)) {
        fail("has a shape that is too large");
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

namespace {

// Checks what the parser of nlohmann/json does not: that no token is so long that its copies need
// much memory, and that there is no zero byte, which it takes for the end.
void check_header_text(const std::filesystem::path& file, std::string_view text) {
  bool in_string = false, escaped = false;
  size_t length = 0;
  for (const char c : text) {
    ++length;
    if (c == '\0') fail_file(file, "its header has a zero byte; get the file again");
    if (escaped) {
      escaped = false;
    } else if (in_string && c == '\\') {
      escaped = true;
    } else if (c == '"') {
      in_string = !in_string;
      length = 0;
    } else if (!in_string && (c == ',' || c == ':')) {
      length = 0;
    }
    if (length > kLongestSafetensorsToken) {
      fail_file(file, fmt::format("its header has a string or a space of more than {} bytes",
                                  kLongestSafetensorsToken));
    }
  }
}

}  // namespace

SafetensorsHeader::SafetensorsHeader(const std::filesystem::path& file, const uint8_t* bytes,
                                     int64_t size) {
  if (size < kLengthBytesOfSafetensors) {
    fail_file(file, fmt::format("has {} bytes, which is too short for the format safetensors; get "
                                "the file again",
                                size));
  }
  uint64_t length = 0;
  std::memcpy(&length, bytes, sizeof length);
  if (length > kMostSafetensorsHeader ||
      length > static_cast<uint64_t>(size - kLengthBytesOfSafetensors)) {
    fail_file(file, fmt::format("its header has {} bytes, but the file has {} and at most {} are "
                                "allowed; it is cut or no safetensors file",
                                length, size, kMostSafetensorsHeader));
  }
  const std::string_view text(reinterpret_cast<const char*>(bytes) + kLengthBytesOfSafetensors,
                              static_cast<size_t>(length));
  check_header_text(file, text);
  // Memory that is reserved but not used costs none.
  names_.reserve(text.size());
  entries_.reserve(text.size() / kShortestSafetensorsEntry + 1);
  shapes_.reserve(text.size() / 2);
  SafetensorsHeaderReader reader(file, *this);
  nlohmann::json::sax_parse(text.begin(), text.end(), &reader);
  data_begin_ = kLengthBytesOfSafetensors + static_cast<int64_t>(length);
  check_places(file, size - data_begin_);
  sort_by_name(file);
}

// The tensors must fill the data one after the other.
void SafetensorsHeader::check_places(const std::filesystem::path& file, int64_t data_size) {
  std::sort(entries_.begin(), entries_.end(), [](const auto& a, const auto& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  int64_t end = 0;
  for (const SafetensorsEntry& entry : entries_) {
    if (entry.begin != end || entry.end > data_size) {
      fail_file(file, fmt::format("{} has bytes {} to {} of the {} of the data, but those of the "
                                  "tensor before end at {}; the file is damaged or cut",
                                  name(entry), entry.begin, entry.end, data_size, end));
    }
    end = entry.end;
  }
  if (end == data_size) return;
  fail_file(file, fmt::format("has {} bytes of data, but its tensors {}", data_size, end));
}

void SafetensorsHeader::sort_by_name(const std::filesystem::path& file) {
  std::sort(entries_.begin(), entries_.end(),
            [this](const auto& a, const auto& b) { return name(a) < name(b); });
  const auto twice =
      std::adjacent_find(entries_.begin(), entries_.end(),
                         [this](const auto& a, const auto& b) { return name(a) == name(b); });
  if (twice != entries_.end()) {
    fail_file(file, fmt::format("has the tensor {} twice; get the file again", name(*twice)));
  }
}

std::string_view SafetensorsHeader::name(const SafetensorsEntry& entry) const {
  return std::string_view(names_).substr(entry.name_begin, entry.name_size);
}

at::IntArrayRef SafetensorsHeader::shape(const SafetensorsEntry& entry) const {
  return at::IntArrayRef(shapes_).slice(entry.shape_begin, entry.dimensions);
}

const SafetensorsEntry* SafetensorsHeader::find(std::string_view wanted) const {
  const auto found = std::lower_bound(
      entries_.begin(), entries_.end(), wanted,
      [this](const SafetensorsEntry& entry, std::string_view text) { return name(entry) < text; });
  return found != entries_.end() && name(*found) == wanted ? &*found : nullptr;
}

}  // namespace examples
