// SPDX-License-Identifier: Apache-2.0
// A file that appears under its name only when all of it is on disk.
#pragma once

#include <cstddef>
#include <filesystem>
#include <ivon/posterior/internal/atomic_file.hpp>
#include <string>

namespace examples {

// Writes to NAME.part; commit() gives it its name. Until then, whatever happens to the program, a
// previous file of that name stays as it was. Without commit() the destructor removes NAME.part.
class AtomicFile {
 public:
  // A NAME.part of an earlier program is overwritten. Nothing is thrown before commit().
  explicit AtomicFile(const std::filesystem::path& file) : file_(file.string()) {}

  // Appends `size` bytes. Remembers the first failure and then writes nothing more.
  void write(const void* data, size_t size) { file_.write(data, size); }

  // Flushes the file to disk, renames it and flushes the folder. Throws std::runtime_error naming
  // the file and the reason ("No space left on device") if this or an earlier write failed.
  void commit();

 private:
  ivon::detail::AtomicFile file_;
};

// The whole of `text` by an AtomicFile.
void write_atomically(const std::filesystem::path& file, const std::string& text);

}  // namespace examples
