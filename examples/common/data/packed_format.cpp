// SPDX-License-Identifier: Apache-2.0
#include "common/data/packed_format.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <zlib.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "common/data/parallel_for.hpp"
#include "common/progress.hpp"

namespace examples {
namespace {

// The 64-bit FNV-1a hash of everything that was added.
class ContentHash {
 public:
  void add(std::string_view text) {
    for (const char c : text) add_byte(static_cast<uint8_t>(c));
    add_byte(0);  // "ab", "c" differs from "a", "bc"
  }
  void add(int64_t number) {
    for (int shift = 0; shift < 64; shift += 8) {
      add_byte(static_cast<uint8_t>(static_cast<uint64_t>(number) >> shift));
    }
  }
  std::string text() const { return fmt::format("{:016x}", hash_); }

 private:
  void add_byte(uint8_t byte) { hash_ = (hash_ ^ byte) * 0x100000001B3U; }

  uint64_t hash_ = 0xCBF29CE484222325U;
};

// The part of all names, such as "/data/train/", that a move of the folder would change.
std::string common_folder(const std::vector<std::filesystem::path>& files) {
  if (files.empty()) return {};
  std::string common = files.front().parent_path().string() + "/";
  for (const std::filesystem::path& file : files) {
    const std::string& name = file.native();
    const auto same = std::mismatch(common.begin(), common.end(), name.begin(), name.end()).first;
    common.erase(same, common.end());
    common.resize(common.rfind('/') + 1);  // 0 if there is none
  }
  return common;
}

struct FileState {
  int64_t size = -1, seconds = 0, nanoseconds = 0;  // size -1: the file cannot be found
};

FileState file_state(const std::filesystem::path& file) {
  struct stat status = {};
  if (stat(file.c_str(), &status) != 0) return {};
  return {status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
}

}  // namespace

Json packed_content(const ImageFolder& data, int64_t shorter_side, int threads) {
  const std::vector<std::filesystem::path>& files = data.files();
  std::vector<FileState> states(files.size());
  CountProgress progress("Looking at the files", data.size(), "files");
  parallel_for(
      data.size(), threads,
      [&](int64_t i) {
        states[static_cast<size_t>(i)] = file_state(files[static_cast<size_t>(i)]);
      },
      kReportInterval, [&](int64_t done) { progress.show(static_cast<double>(done)); });
  progress.end();
  const size_t folder = common_folder(files).size();
  ContentHash classes, names, file_states;
  for (const std::string& name : data.classes) classes.add(name);
  for (size_t i = 0; i < files.size(); ++i) {
    names.add(std::string_view(files[i].native()).substr(folder));
    for (const int64_t part : {states[i].size, states[i].seconds, states[i].nanoseconds}) {
      file_states.add(part);
    }
  }
  return {{"shorter_side", shorter_side},
          {"images", data.size()},
          {"classes", classes.text()},
          {"names", names.text()},
          {"files", file_states.text()}};
}

std::string content_difference(const Json& there, const Json& wanted) {
  const auto differs = [&](const char* key) {
    return !there.is_object() || !there.contains(key) || there[key] != wanted[key];
  };
  for (const char* key : {"shorter_side", "images"}) {
    if (differs(key)) {
      return fmt::format("it has been made with {} {}, not {}", key,
                         there.is_object() && there.contains(key) ? there[key].dump() : "none",
                         wanted[key].dump());
    }
  }
  if (differs("classes")) return "it has been made for other classes";
  if (differs("names")) return "files of the folder have other names than when it was made";
  if (differs("files")) return "files of the folder have changed since it was made";
  return {};
}

uint64_t packed_checksum(PackedHead head, const uint8_t* rest, size_t bytes) {
  head.checksum = 0;
  const auto* begin = reinterpret_cast<const Bytef*>(&head);
  return crc32_z(crc32_z(0, begin, sizeof head), rest, bytes);
}

}  // namespace examples
