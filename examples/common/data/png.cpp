// SPDX-License-Identifier: Apache-2.0
#include "common/data/png.hpp"

#include <ATen/ops/empty.h>
#include <fmt/format.h>
#include <spng.h>

#include <cstddef>
#include <memory>
#include <new>

#include "common/data/file_bytes.hpp"
#include "common/data/file_error.hpp"
#include "common/data/image_limits.hpp"

namespace examples {
namespace {

constexpr size_t kMaxPngChunk = size_t{1} << 24;  // bytes of text or a colour profile

// A decoder with the errors as exceptions that begin with the file's name.
class OpenPng {
 public:
  // `name` and `bytes` must outlive the decoder.
  OpenPng(const std::string& name, const std::vector<uint8_t>& bytes)
      : name_(name), decoder_(spng_ctx_new(0), spng_ctx_free) {
    if (decoder_ == nullptr) throw std::bad_alloc();
    check(spng_set_chunk_limits(decoder_.get(), kMaxPngChunk, 4 * kMaxPngChunk));
    check(spng_set_png_buffer(decoder_.get(), bytes.data(), bytes.size()));
  }

  spng_ihdr header() {
    spng_ihdr header = {};
    check(spng_get_ihdr(decoder_.get(), &header));
    check_image_size(name_, header.height, header.width);
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
      fail_file(name_, fmt::format("is not a whole PNG file ({})", spng_strerror(code)));
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
  const std::vector<uint8_t> bytes = file_bytes(file);
  return OpenPng(name, bytes).pixels(SPNG_FMT_RGBA8, 4);
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
