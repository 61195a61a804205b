// SPDX-License-Identifier: Apache-2.0
// A file that is read as if it lay in memory.
#pragma once

#include <cstdint>
#include <filesystem>

namespace examples {

// The bytes of a file, which the system reads when they are used and may drop again, so that files
// larger than the memory can be used. Read-only. It does not notice that another program makes the
// file shorter: then reading ends this one (SIGBUS).
class MemoryMap {
 public:
  // Throws std::runtime_error naming the file and the reason if it cannot be opened, is no ordinary
  // file or cannot be mapped. An empty file has size() 0.
  explicit MemoryMap(const std::filesystem::path& file);
  ~MemoryMap();
  MemoryMap(MemoryMap&& other) noexcept;
  MemoryMap& operator=(MemoryMap&& other) noexcept;
  MemoryMap(const MemoryMap&) = delete;
  MemoryMap& operator=(const MemoryMap&) = delete;

  const uint8_t* data() const { return data_; }
  int64_t size() const { return size_; }  // bytes
  const std::filesystem::path& file() const { return file_; }

 private:
  std::filesystem::path file_;
  const uint8_t* data_ = nullptr;
  int64_t size_ = 0;
};

}  // namespace examples
