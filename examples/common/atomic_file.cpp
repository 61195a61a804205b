// SPDX-License-Identifier: Apache-2.0
#include "common/atomic_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace examples {

AtomicFile::AtomicFile(std::filesystem::path file)
    : file_(std::move(file)),
      part_(file_.string() + ".part"),
      descriptor_(open(part_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) {
  check(descriptor_ >= 0);
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::check(bool ok) {
  if (!ok && error_ == 0) error_ = errno;
}

void AtomicFile::discard() {
  if (descriptor_ < 0) return;
  close(descriptor_);
  descriptor_ = -1;
  unlink(part_.c_str());
}

void AtomicFile::write(const void* data, size_t size) {
  const char* next = static_cast<const char*>(data);
  while (size > 0 && error_ == 0) {
    const ssize_t written = ::write(descriptor_, next, size);
    if (written < 0 && errno == EINTR) continue;
    check(written >= 0);
    if (written < 0) return;
    next += written;
    size -= static_cast<size_t>(written);
  }
}

void AtomicFile::commit() {
  if (error_ == 0) check(fsync(descriptor_) == 0);
  if (error_ == 0) {
    const int descriptor = std::exchange(descriptor_, -1);
    check(close(descriptor) == 0);
    if (error_ == 0) check(std::rename(part_.c_str(), file_.c_str()) == 0);
    if (error_ != 0) unlink(part_.c_str());
  }
  if (error_ != 0) {
    discard();
    throw std::runtime_error(
        fmt::format("{}: cannot be written: {}; a previous file of this name is unchanged",
                    file_.string(), std::generic_category().message(error_)));
  }
  // From here on the new file is in place. A file system that cannot flush a folder is no failure.
  const std::filesystem::path folder = file_.has_parent_path() ? file_.parent_path() : ".";
  const int folder_descriptor = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_descriptor >= 0) {
    fsync(folder_descriptor);
    close(folder_descriptor);
  }
}

void write_atomically(const std::filesystem::path& file, const std::string& text) {
  AtomicFile out(file);
  out.write(text.data(), text.size());
  out.commit();
}

}  // namespace examples
