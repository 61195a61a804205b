// SPDX-License-Identifier: Apache-2.0
#include "common/data/idx.hpp"

#include <ATen/ops/empty.h>
#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <vector>

#include "common/data/file_error.hpp"

namespace examples {
namespace {

constexpr int64_t kMaxElements = int64_t{1} << 31;  // a larger size is a damaged header
constexpr int64_t kChunk = 1 << 20;                 // bytes per read

// A file opened with zlib, which reads uncompressed files as they are.
class Reader {
 public:
  explicit Reader(const std::filesystem::path& file)
      : file_(file), handle_(gzopen(file.c_str(), "rb"), gzclose) {
    if (handle_ == nullptr) fail_file(file_, kCannotBeOpened);
  }

  // Up to `count` bytes into `out`; the number read, less than `count` only at the file's end.
  int64_t read(uint8_t* out, int64_t count) {
    int64_t done = 0;
    while (done < count) {
      const auto want = static_cast<unsigned>(std::min(count - done, kChunk));
      const int got = gzread(handle_.get(), out + done, want);
      if (got < 0) {
        int code = Z_OK;
        const char* reason = gzerror(handle_.get(), &code);
        fail_file(file_, fmt::format("is damaged ({}); fetch the file again", reason));
      }
      if (got == 0) break;
      done += got;
    }
    return done;
  }

 private:
  std::filesystem::path file_;
  std::unique_ptr<gzFile_s, int (*)(gzFile)> handle_;
};

int64_t big_endian_32(const uint8_t* b) {
  return (int64_t{b[0]} << 24) | (int64_t{b[1]} << 16) | (int64_t{b[2]} << 8) | int64_t{b[3]};
}

std::vector<int64_t> read_header(Reader& reader, const std::filesystem::path& file, int dims) {
  uint8_t magic[4] = {};
  const int64_t got = reader.read(magic, 4);
  if (got < 4)
    fail_file(file, fmt::format("is truncated: an IDX header needs 4 bytes, got {}", got));
  if (magic[0] != 0 || magic[1] != 0 || magic[2] != 8 || magic[3] != dims) {
    fail_file(file, fmt::format("must start with the IDX magic number 0x0000{:02x}{:02x}, got "
                                "0x{:02x}{:02x}{:02x}{:02x}; is it the right file?",
                                8, dims, magic[0], magic[1], magic[2], magic[3]));
  }
  std::vector<int64_t> sizes;
  int64_t elements = 1;
  for (int d = 0; d < dims; ++d) {
    uint8_t size[4] = {};
    if (reader.read(size, 4) < 4) fail_file(file, "is truncated inside its header; fetch it again");
    sizes.push_back(big_endian_32(size));
    elements = sizes.back() > kMaxElements ? kMaxElements : elements * sizes.back();
    if (elements >= kMaxElements)
      fail_file(file, "announces more than 2^31 elements; fetch it again");
  }
  return sizes;
}

}  // namespace

std::filesystem::path find_idx(const std::filesystem::path& folder, const std::string& name) {
  if (!std::filesystem::is_directory(folder)) {
    throw std::runtime_error(fmt::format(
        "the data folder must exist, got {}; on Debian `apt-get install dataset-fashion-mnist` "
        "provides /usr/share/datasets/fashion-mnist, elsewhere name your folder with --data",
        folder.string()));
  }
  for (const char* suffix : {"", ".gz"}) {
    const auto path = folder / (name + suffix);
    if (std::filesystem::is_regular_file(path)) return path;
  }
  throw std::runtime_error(
      fmt::format("{} has neither {} nor {}.gz; name the right folder with --data", folder.string(),
                  name, name));
}

at::Tensor read_idx(const std::filesystem::path& file, int dims) {
  Reader reader(file);
  const std::vector<int64_t> sizes = read_header(reader, file, dims);
  at::Tensor elements = at::empty(sizes, at::kByte);
  const int64_t got = reader.read(elements.data_ptr<uint8_t>(), elements.numel());
  if (got < elements.numel()) {
    fail_file(
        file,
        fmt::format("is truncated: its header announces {} bytes of data, got {}; fetch it again",
                    elements.numel(), got));
  }
  uint8_t extra = 0;
  if (reader.read(&extra, 1) != 0) {
    fail_file(file,
              fmt::format("is longer than the {} bytes of data its header announces; is it the "
                          "right file?",
                          elements.numel()));
  }
  return elements;
}

}  // namespace examples
