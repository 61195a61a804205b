// SPDX-License-Identifier: Apache-2.0
// Files for the tests of Posterior::save() and load().
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "ivon/posterior/posterior.hpp"
#include "support.hpp"

namespace ivon_test {

// A folder for the files of one test.
class FileFolder {
 public:
  FileFolder()
      : folder_(std::filesystem::temp_directory_path() /
                ("ivon_posterior_" + std::to_string(getpid()) + "_" +
                 ::testing::UnitTest::GetInstance()->current_test_info()->name())) {
    std::filesystem::create_directories(folder_);
  }
  ~FileFolder() { std::filesystem::remove_all(folder_); }
  FileFolder(const FileFolder&) = delete;
  FileFolder& operator=(const FileFolder&) = delete;
  std::string operator/(const char* name) const { return (folder_ / name).string(); }

 private:
  std::filesystem::path folder_;
};

inline std::string bytes_of(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
inline void write_bytes(const std::string& file, const std::string& bytes) {
  std::ofstream(file, std::ios::binary) << bytes;
}

// Why the file cannot be read as a posterior; "other: " and the message if that is no such refusal.
inline std::string reason(const std::string& file) {
  const std::string message = message_of([&] { (void)ivon::Posterior::load(file); });
  const std::string begin = "ivon: " + file + " cannot be read as a posterior: ";
  return message.rfind(begin, 0) == 0 ? message.substr(begin.size()) : "other: " + message;
}

}  // namespace ivon_test
