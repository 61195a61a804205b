// SPDX-License-Identifier: Apache-2.0
#include "common/data/png.hpp"

#include <ATen/ops/empty.h>
#include <fmt/format.h>
#include <spng.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>

namespace examples {
namespace {

constexpr uint32_t kMaxPngSide = 1 << 15;
constexpr int64_t kMaxPngPixels = int64_t{1} << 26;  // 256 MB decoded
constexpr size_t kMaxPngChunk = size_t{1} << 24;     // bytes of text or a colour profile

[[noreturn]] void fail_png(const std::filesystem::path& file, const std::string& what) {
  throw std::runtime_error(fmt::format("{}: {}", file.string(), what));
}

}  // namespace

at::Tensor read_png(const std::filesystem::path& file) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> stream(std::fopen(file.c_str(), "rb"),
                                                               std::fclose);
  if (stream == nullptr) {
    fail_png(file, "cannot be opened; check that it exists and is readable");
  }
  const std::unique_ptr<spng_ctx, void (*)(spng_ctx*)> decoder(spng_ctx_new(0), spng_ctx_free);
  if (decoder == nullptr) throw std::bad_alloc();
  const auto check = [&file](int code) {
    if (code != 0) fail_png(file, fmt::format("is not a whole PNG file ({})", spng_strerror(code)));
  };
  check(spng_set_image_limits(decoder.get(), kMaxPngSide, kMaxPngSide));
  check(spng_set_chunk_limits(decoder.get(), kMaxPngChunk, 4 * kMaxPngChunk));
  check(spng_set_png_file(decoder.get(), stream.get()));
  spng_ihdr header = {};
  check(spng_get_ihdr(decoder.get(), &header));
  const int64_t height = header.height, width = header.width;
  if (height * width > kMaxPngPixels) {
    fail_png(file, fmt::format("has {} x {} pixels, more than 2^26 in all", width, height));
  }
  at::Tensor pixels = at::empty({height, width, 4}, at::kByte);
  check(spng_decode_image(decoder.get(), pixels.data_ptr<uint8_t>(), pixels.nbytes(),
                          SPNG_FMT_RGBA8, SPNG_DECODE_TRNS));
  return pixels;
}

}  // namespace examples
