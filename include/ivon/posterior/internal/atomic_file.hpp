// SPDX-License-Identifier: Apache-2.0
// A file that appears under its name only when all of it is on disk.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <ivon/version.hpp>
#include <string>
#include <system_error>
#include <utility>

IVON_NAMESPACE_BEGIN
namespace detail {

/// Writes to NAME.part; commit() gives it its name. Until then, whatever happens to the program, a
/// previous file of that name stays as it was. Without commit() the destructor removes NAME.part.
class AtomicFile {
 public:
  /// A NAME.part of an earlier program is overwritten. Nothing is reported before commit().
  explicit AtomicFile(std::string file)
      : file_(std::move(file)),
        part_(file_ + ".part"),
        descriptor_(open(part_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) {
    check(descriptor_ >= 0);
  }
  ~AtomicFile() { discard(); }
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Appends `size` bytes. Remembers the first failure and then writes nothing more.
  void write(const void* data, size_t size) {
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

  /// Flushes the file to disk, renames it and flushes the folder. Returns an empty string, or what
  /// went wrong here or in an earlier write: "NAME: cannot be written: No space left on device;
  /// ...".
  std::string commit() {
    if (error_ == 0) check(fsync(descriptor_) == 0);
    if (error_ == 0) {
      check(close(std::exchange(descriptor_, -1)) == 0);
      if (error_ == 0) check(std::rename(part_.c_str(), file_.c_str()) == 0);
      if (error_ != 0) unlink(part_.c_str());
    }
    if (error_ != 0) {
      discard();
      return file_ + ": cannot be written: " + std::generic_category().message(error_) +
             "; a previous file of this name is unchanged";
    }
    flush_folder();
    return {};
  }

 private:
  // Remembers errno unless `ok`.
  void check(bool ok) {
    if (!ok && error_ == 0) error_ = errno;
  }
  // Closes and removes NAME.part.
  void discard() {
    if (descriptor_ < 0) return;
    close(std::exchange(descriptor_, -1));
    unlink(part_.c_str());
  }
  // The new file is in place already, and a file system that cannot flush a folder is no failure.
  void flush_folder() const {
    const size_t slash = file_.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : file_.substr(0, slash + 1);
    const int descriptor = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return;
    fsync(descriptor);
    close(descriptor);
  }

  std::string file_, part_;
  int descriptor_;
  int error_ = 0;  // errno of the first failure
};

}  // namespace detail
IVON_NAMESPACE_END
