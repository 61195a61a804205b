// SPDX-License-Identifier: Apache-2.0
#include "common/data/png.hpp"

#include <ATen/ops/empty.h>
#include <fmt/format.h>
#include <spng.h>

#include <cstddef>
#include <cstdio>
#include <memory>
#include <new>
#include <stdexcept>

namespace examples {
namespace {

constexpr uint32_t kMaxPngSide = 1 << 15;
constexpr int64_t kMaxPngPixels = int64_t{1} << 26;  // 256 MB decoded
constexpr size_t kMaxPngChunk = size_t{1} << 24;     // bytes of text or a colour profile

[[noreturn]] void fail_png(const std::string& name, const std::string& what) {
  throw std::runtime_error(fmt::format("{}: {}", name, what));
}

// A decoder with the errors as exceptions that begin with the file's name.
class OpenPng {
 public:
  explicit OpenPng(const std::string& name)
      : name_(name), decoder_(spng_ctx_new(0), spng_ctx_free) {
    if (decoder_ == nullptr) throw std::bad_alloc();
    check(spng_set_image_limits(decoder_.get(), kMaxPngSide, kMaxPngSide));
    check(spng_set_chunk_limits(decoder_.get(), kMaxPngChunk, 4 * kMaxPngChunk));
  }

  OpenPng(const std::string& name, const std::vector<uint8_t>& bytes) : OpenPng(name) {
    check(spng_set_png_buffer(decoder_.get(), bytes.data(), bytes.size()));
  }

  // `stream` must outlive the decoder.
  OpenPng(const std::string& name, std::FILE* stream) : OpenPng(name) {
    check(spng_set_png_file(decoder_.get(), stream));
  }

  spng_ihdr header() {
    spng_ihdr header = {};
    check(spng_get_ihdr(decoder_.get(), &header));
    if (int64_t{header.height} * header.width > kMaxPngPixels) {
      fail_png(name_, fmt::format("has {} x {} pixels, more than 2^26 in all", header.width,
                                  header.height));
    }
    return header;
  }

  // Whether a colour or the entries of the palette are marked as transparent.
  bool has_transparent_colours() {
    spng_trns transparent = {};
    const int code = spng_get_trns(decoder_.get(), &transparent);
    if (code == SPNG_ECHUNKAVAIL) return false;
    check(code);
    return true;
  }

  // uint8 [height, width, channels], as many as `format` has.
  at::Tensor pixels(spng_format format, int64_t channels) {
    const spng_ihdr size = header();
    at::Tensor result = at::empty({size.height, size.width, channels}, at::kByte);
    const int flags = format == SPNG_FMT_RGBA8 ? SPNG_DECODE_TRNS : 0;
    check(spng_decode_image(decoder_.get(), result.data_ptr<uint8_t>(), result.nbytes(), format,
                            flags));
    return result;
  }

 private:
  void check(int code) const {
    if (code != 0) {
      fail_png(name_, fmt::format("is not a whole PNG file ({})", spng_strerror(code)));
    }
  }

  const std::string& name_;
  std::unique_ptr<spng_ctx, void (*)(spng_ctx*)> decoder_;
};

// [height, width, 4] with opacity -> [height, width, 3] on white.
at::Tensor on_white(const at::Tensor& rgba) {
  at::Tensor result = at::empty({rgba.size(0), rgba.size(1), 3}, at::kByte);
  const auto* from = rgba.const_data_ptr<uint8_t>();
  auto* to = result.data_ptr<uint8_t>();
  const int64_t pixels = rgba.size(0) * rgba.size(1);
  for (int64_t i = 0; i < pixels; ++i) {
    const int opacity = from[4 * i + 3];
    for (int64_t c = 0; c < 3; ++c) {
      const int sum = from[4 * i + c] * opacity + 255 * (255 - opacity);
      to[3 * i + c] = static_cast<uint8_t>((sum + 127) / 255);
    }
  }
  return result;
}

}  // namespace

at::Tensor read_png(const std::filesystem::path& file) {
  const std::string name = file.string();
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> stream(std::fopen(file.c_str(), "rb"),
                                                               std::fclose);
  if (stream == nullptr) {
    fail_png(name, "cannot be opened; check that it exists and is readable");
  }
  return OpenPng(name, stream.get()).pixels(SPNG_FMT_RGBA8, 4);
}

PngHeader read_png_header(const std::string& name, const std::vector<uint8_t>& bytes) {
  const spng_ihdr header = OpenPng(name, bytes).header();
  return {header.height, header.width};
}

at::Tensor read_png_on_white(const std::string& name, const std::vector<uint8_t>& bytes) {
  OpenPng png(name, bytes);
  const spng_ihdr header = png.header();
  const bool has_opacity = header.color_type == SPNG_COLOR_TYPE_GRAYSCALE_ALPHA ||
                           header.color_type == SPNG_COLOR_TYPE_TRUECOLOR_ALPHA;
  if (has_opacity || png.has_transparent_colours()) return on_white(png.pixels(SPNG_FMT_RGBA8, 4));
  if (header.color_type == SPNG_COLOR_TYPE_GRAYSCALE && header.bit_depth <= 8) {
    return png.pixels(SPNG_FMT_G8, 1);
  }
  return png.pixels(SPNG_FMT_RGB8, 3);
}

}  // namespace examples
