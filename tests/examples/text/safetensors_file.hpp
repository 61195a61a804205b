// SPDX-License-Identifier: Apache-2.0
// A file in the format safetensors that is written byte for byte, for the tests of reading.
#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "common/models/safetensors.hpp"
#include "small.hpp"

namespace examples_test {

struct SafetensorsFile {
  examples_test::Folder folder{"safetensors"};
  std::filesystem::path path = folder.path / "a.safetensors";

  // The header's length, the header and the data.
  void write(const std::string& header, const std::string& data) const {
    const uint64_t length = header.size();
    std::string bytes(sizeof length, '\0');
    std::memcpy(bytes.data(), &length, sizeof length);
    write_bytes(bytes + header + data);
  }
  void write_bytes(const std::string& bytes) const {
    std::ofstream(path, std::ios::binary) << bytes;
  }
  std::string bytes() const {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  // What the exception says that `call` throws, without the folder of the file's name.
  template <class Call>
  std::string error(Call&& call) const {
    std::string text = error_of(call);
    const std::string prefix = folder.path.string() + "/";
    for (size_t place; (place = text.find(prefix)) != std::string::npos;) {
      text.erase(place, prefix.size());
    }
    return text;
  }
  std::string error_of_reading() const {
    return error([this] { examples::Safetensors{path}; });
  }
  std::string error_of_header(const std::string& header, const std::string& data = "") const {
    write(header, data);
    return error_of_reading();
  }
};

// An entry "a" of the header, without the outer braces.
inline std::string safetensors_entry(const std::string& type, const std::string& shape,
                                     const std::string& offsets, const std::string& name = "a") {
  return "\"" + name + R"(":{"dtype":")" + type + R"(","shape":)" + shape + R"(,"data_offsets":)" +
         offsets + "}";
}

}  // namespace examples_test
