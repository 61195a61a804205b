// SPDX-License-Identifier: Apache-2.0
#include "common/data/packed_writer.hpp"

#include <c10/util/Exception.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <map>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "common/data/image_file.hpp"
#include "common/data/parallel_for.hpp"
#include "common/progress.hpp"

namespace examples {
namespace {

namespace fs = std::filesystem;

// Apart from the errors of images, which do not end the packing.
class WriteError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

[[noreturn]] void fail_writing(const fs::path& file, const std::string& what) {
  throw WriteError(fmt::format("{}: cannot be written: {}", file.string(), what));
}

// Ends the packing if memory runs out: the file must not say for ever that such an image cannot be
// read.
[[noreturn]] void fail_packing(const std::string& image, const std::string& reason) {
  throw WriteError(fmt::format(
      "{}: cannot be packed: {}; use fewer threads, reduce the image or remove it", image, reason));
}

// NAME.part, which several threads may write. Without commit() the destructor removes it.
class PartFile {
 public:
  explicit PartFile(const fs::path& file)
      : file_(file),
        part_(file.string() + ".part"),
        descriptor_(open(part_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
    check(descriptor_ >= 0);
    if (!is_mine()) {
      close(descriptor_);
      fail_writing(file_, "another program is making it; wait for it, or give another name");
    }
    if (ftruncate(descriptor_, 0) != 0) {
      const int error = errno;
      discard();
      errno = error;
      check(false);
    }
  }
  ~PartFile() { discard(); }
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  void write(const void* data, size_t size, uint64_t offset) const {
    const char* next = static_cast<const char*>(data);
    while (size > 0) {
      const ssize_t written = pwrite(descriptor_, next, size, static_cast<off_t>(offset));
      if (written < 0 && errno == EINTR) continue;
      check(written >= 0);
      next += written;
      offset += static_cast<uint64_t>(written);
      size -= static_cast<size_t>(written);
    }
  }

  // Flushes the file to disk, renames it and flushes the folder.
  void commit() {
    check(fsync(descriptor_) == 0);
    check(std::rename(part_.c_str(), file_.c_str()) == 0);
    close(std::exchange(descriptor_, -1));
    const fs::path folder = file_.has_parent_path() ? file_.parent_path() : ".";
    const int opened = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (opened < 0) return;  // the file is in place already
    fsync(opened);
    close(opened);
  }

 private:
  // Locks the file, unless another program has. The system drops the lock of a killed program, and
  // a file system without locks is no obstacle. A program that finished between our opening and our
  // locking has given the file its name, which the second half notices.
  bool is_mine() const {
    if (flock(descriptor_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) return false;
    struct stat opened = {}, named = {};
    return fstat(descriptor_, &opened) == 0 && stat(part_.c_str(), &named) == 0 &&
           opened.st_ino == named.st_ino;
  }
  void check(bool good) const {
    if (!good) {
      fail_writing(file_, fmt::format("{}; check the free space and the permissions of its folder",
                                      std::generic_category().message(errno)));
    }
  }
  void discard() {
    if (descriptor_ < 0) return;
    unlink(part_.c_str());
    close(std::exchange(descriptor_, -1));
  }

  fs::path file_, part_;
  int descriptor_;
};

// The images on their way into the file.
class Packing {
 public:
  Packing(const ImageFolder& data, int64_t shorter_side)
      : data_(data), shorter_side_(shorter_side), entries_(data.files().size()) {}

  // Finds the size and place of each image. Returns the end of the last one.
  uint64_t measure(int threads);
  void write_pixels(const PartFile& file, int threads);
  void write_rest(const PartFile& file, uint64_t end, const Json& content) const;

 private:
  // Calls work(file, entry) for each image; a std::runtime_error makes it an unreadable one. Shows
  // the progress under the name `label`.
  template <class Work>
  void for_each_image(int threads, const char* label, const Work& work);

  const ImageFolder& data_;
  const int64_t shorter_side_;
  std::vector<PackedEntry> entries_;  // of each image
  std::mutex mutex_;
  std::map<int64_t, std::string> errors_;  // guarded by mutex_
};

template <class Work>
void Packing::for_each_image(int threads, const char* label, const Work& work) {
  const auto one = [&](int64_t i) {
    PackedEntry& entry = entries_[static_cast<size_t>(i)];
    try {
      work(data_.files()[static_cast<size_t>(i)], entry);
    } catch (const WriteError&) {
      throw;
    } catch (const std::bad_alloc&) {
      fail_packing(data_.name(i), "its pixels need more memory than there is");
    } catch (const c10::Error& error) {  // of LibTorch, if it finds no memory
      fail_packing(data_.name(i), error.what_without_backtrace());
    } catch (const std::runtime_error& error) {
      entry.height = entry.width = 0;
      std::string what = error.what();
      const std::string start = data_.name(i) + ": ";
      if (what.rfind(start, 0) == 0) what.erase(0, start.size());
      const std::lock_guard<std::mutex> lock(mutex_);
      errors_.emplace(i, what);
    }
  };
  CountProgress progress(label, data_.size(), "images");
  parallel_for(data_.size(), threads, one, kReportInterval,
               [&](int64_t done) { progress.show(static_cast<double>(done)); });
  progress.end();
}

uint64_t Packing::measure(int threads) {
  for_each_image(threads, "Measuring the images", [&](const fs::path& file, PackedEntry& entry) {
    const ImageSize size = image_size(file);
    const int64_t shorter = std::min(size.height, size.width);
    const double scale =
        std::min(1.0, static_cast<double>(shorter_side_) / static_cast<double>(shorter));
    const auto reduced = [scale](int64_t length) {
      return static_cast<uint32_t>(std::lround(static_cast<double>(length) * scale));
    };
    entry.height = reduced(size.height);
    entry.width = reduced(size.width);
  });
  uint64_t end = sizeof(PackedHead);
  for (size_t i = 0; i < entries_.size(); ++i) {
    entries_[i].target = static_cast<uint64_t>(data_.targets[i]);
    entries_[i].offset = end;
    end += entries_[i].bytes();
  }
  return end;
}

void Packing::write_pixels(const PartFile& file, int threads) {
  for_each_image(threads, "Packing the images", [&](const fs::path& name, PackedEntry& entry) {
    if (entry.height == 0) return;  // it could not be measured
    const EncodedImage image(name);
    const at::Tensor pixels =
        image.read({0, 0, image.height(), image.width()}, entry.height, entry.width);
    file.write(pixels.const_data_ptr(), pixels.nbytes(), entry.offset);
  });
}

void Packing::write_rest(const PartFile& file, uint64_t end, const Json& content) const {
  Json unreadable = Json::object();
  for (const auto& [index, error] : errors_) unreadable[std::to_string(index)] = error;
  std::string rest = Json{{"content", content}, {"unreadable", unreadable}}.dump(
      -1, ' ', false, Json::error_handler_t::replace);
  PackedHead head;
  head.description = end;
  head.description_bytes = rest.size();
  head.images = entries_.size();
  rest.append(reinterpret_cast<const char*>(entries_.data()),
              entries_.size() * sizeof(PackedEntry));
  head.file_bytes = end + rest.size();
  head.checksum = packed_checksum(head, reinterpret_cast<const uint8_t*>(rest.data()), rest.size());
  file.write(rest.data(), rest.size(), end);
  file.write(&head, sizeof head, 0);
}

void require_space(const fs::path& file, uint64_t bytes) {
  const fs::path folder = file.has_parent_path() ? file.parent_path() : ".";
  const uint64_t free = fs::space(folder).available;
  if (free >= bytes) return;
  fail_writing(file,
               fmt::format("needs {:.3f} GB, but {:.3f} GB are free; free some space, choose "
                           "another folder, or store smaller images",
                           static_cast<double>(bytes) / 1e9, static_cast<double>(free) / 1e9));
}

}  // namespace

void write_packed(const ImageFolder& data, const fs::path& file, const Json& content, int threads) {
  if (file.has_parent_path()) fs::create_directories(file.parent_path());
  PartFile part(file);
  Packing packing(data, content.at("shorter_side").get<int64_t>());
  const uint64_t end = packing.measure(threads);
  constexpr uint64_t kDescriptionBytes = 1 << 20;  // enough for thousands of unreadable images
  require_space(file, end + data.files().size() * sizeof(PackedEntry) + kDescriptionBytes);
  packing.write_pixels(part, threads);
  packing.write_rest(part, end, content);
  part.commit();
}

}  // namespace examples
