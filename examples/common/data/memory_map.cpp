// SPDX-License-Identifier: Apache-2.0
#include "common/data/memory_map.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "common/data/file_error.hpp"

namespace examples {
namespace {

// Closes the file when the map is made or an error is thrown. A map stays without its descriptor.
struct MapDescriptor {
  explicit MapDescriptor(int descriptor) : number(descriptor) {}
  ~MapDescriptor() {
    if (number >= 0) close(number);
  }
  MapDescriptor(const MapDescriptor&) = delete;
  MapDescriptor& operator=(const MapDescriptor&) = delete;
  const int number;
};

}  // namespace

MemoryMap::MemoryMap(const std::filesystem::path& file) : file_(file) {
  // O_NONBLOCK, because opening a named pipe would wait for a writer otherwise.
  const MapDescriptor opened(open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status = {};
  if (opened.number < 0 || fstat(opened.number, &status) != 0) {
    fail_file(file, fmt::format("cannot be opened: {}; check that it exists and is readable",
                                std::generic_category().message(errno)));
  }
  if (!S_ISREG(status.st_mode)) {
    fail_file(file, "must be an ordinary file, but is a folder, pipe or device; name a file");
  }
  size_ = status.st_size;
  if (size_ == 0) return;  // mmap() refuses empty files
  void* map =
      mmap(nullptr, static_cast<size_t>(size_), PROT_READ, MAP_SHARED, opened.number, /*offset=*/0);
  if (map == MAP_FAILED) {
    fail_file(file, fmt::format("cannot be mapped into memory: {}; check that the file system "
                                "supports mmap() and that the address space is not limited",
                                std::generic_category().message(errno)));
  }
  data_ = static_cast<const uint8_t*>(map);
}

MemoryMap::~MemoryMap() {
  if (data_ != nullptr) munmap(const_cast<uint8_t*>(data_), static_cast<size_t>(size_));
}

MemoryMap::MemoryMap(MemoryMap&& other) noexcept
    : file_(std::move(other.file_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MemoryMap& MemoryMap::operator=(MemoryMap&& other) noexcept {
  std::swap(file_, other.file_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

}  // namespace examples
