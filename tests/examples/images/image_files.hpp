// SPDX-License-Identifier: Apache-2.0
// Writes JPEG and PNG files of any kind for the tests of what reads them.
#pragma once

#include <fmt/format.h>
#include <spng.h>
#include <torch/types.h>

// jpeglib.h needs <cstdio> above it.
#include <cstdio>
//
#include <jpeglib.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace examples_test {

inline void write_bytes(const std::filesystem::path& file, const void* bytes, size_t size) {
  std::ofstream out(file, std::ios::binary);
  out.write(static_cast<const char*>(bytes), static_cast<std::streamsize>(size));
  if (!out.flush()) throw std::runtime_error(file.string() + ": cannot be written");
}

// An APP1 segment with nothing but the orientation: "Exif", TIFF's header, one entry. Even
// orientations are written in big-endian order, odd ones in little-endian.
inline std::vector<uint8_t> exif_segment(int orientation) {
  const bool is_little = orientation % 2 == 1;
  std::vector<uint8_t> bytes = {'E', 'x', 'i', 'f', 0, 0};
  const auto put = [&](uint32_t value, int size) {
    for (int i = 0; i < size; ++i) {
      bytes.push_back(static_cast<uint8_t>(value >> 8 * (is_little ? i : size - 1 - i)));
    }
  };
  bytes.insert(bytes.end(), 2, is_little ? 'I' : 'M');
  put(42, 2);
  put(8, 4);       // where the directory begins
  put(1, 2);       // its entries
  put(0x0112, 2);  // the orientation,
  put(3, 2);       // a 16-bit number,
  put(1, 4);       // once
  put(static_cast<uint32_t>(orientation), 2);
  put(0, 2);
  put(0, 4);  // no further directory
  return bytes;
}

// Red, green and blue [h, w, 3] -> cyan, magenta, yellow and black [h, w, 4] as Adobe stores them,
// 255 for no ink.
inline torch::Tensor inverted_inks(const torch::Tensor& rgb) {
  const torch::Tensor colours = rgb.to(torch::kFloat);
  const torch::Tensor black = std::get<0>(colours.max(2, /*keepdim=*/true));
  const torch::Tensor inks = (colours * 255 / black.clamp_min(1)).round();
  return torch::cat({inks, black}, 2).to(torch::kByte);
}

// pixels: uint8 [h, w, 1] grey or [h, w, 3] RGB. `quality` 1 to 100. Colours are stored at half the
// resolution (4:2:0). An `orientation` other than 1 is written as EXIF data; the pixels are stored
// as they are. `cmyk` stores RGB as the four inks of print.
inline void write_jpeg(const std::filesystem::path& file, const torch::Tensor& pixels, int quality,
                       int orientation = 1, bool cmyk = false) {
  torch::Tensor stored = (cmyk ? inverted_inks(pixels) : pixels).contiguous();
  jpeg_compress_struct jpeg = {};
  jpeg_error_mgr errors = {};
  jpeg.err = jpeg_std_error(&errors);  // ends the test program on an error
  jpeg_create_compress(&jpeg);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&jpeg, &bytes, &size);
  jpeg.image_height = static_cast<JDIMENSION>(stored.size(0));
  jpeg.image_width = static_cast<JDIMENSION>(stored.size(1));
  jpeg.input_components = static_cast<int>(stored.size(2));
  jpeg.in_color_space = cmyk ? JCS_CMYK : stored.size(2) == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, quality, TRUE);
  jpeg_start_compress(&jpeg, TRUE);
  if (orientation != 1) {
    const std::vector<uint8_t> exif = exif_segment(orientation);
    jpeg_write_marker(&jpeg, JPEG_APP0 + 1, exif.data(), static_cast<unsigned>(exif.size()));
  }
  while (jpeg.next_scanline < jpeg.image_height) {
    JSAMPROW row = stored.data_ptr<uint8_t>() + jpeg.next_scanline * stored.stride(0);
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  write_bytes(file, bytes, size);
  std::free(bytes);
}

// kGrey*: pixels [h, w, 1]; kRgb* and kPalette (at most 256 colours): [h, w, 3]; kRgba8: [h, w, 4].
// 16-bit kinds store 257 times the pixel.
enum class PngKind { kGrey8, kGrey16, kRgb8, kRgb16, kRgba8, kPalette };

// The colours of pixels [h, w, 3], and for each pixel [h, w, 1] the number of its colour.
inline torch::Tensor to_palette(const torch::Tensor& pixels, spng_plte& palette) {
  const torch::Tensor wide = pixels.to(torch::kLong);
  const auto [colours, numbers, counts] =
      at::_unique2(wide.select(2, 0) * 65536 + wide.select(2, 1) * 256 + wide.select(2, 2),
                   /*sorted=*/true, /*return_inverse=*/true);
  if (colours.numel() > 256) throw std::invalid_argument("a palette has at most 256 colours");
  palette.n_entries = static_cast<uint32_t>(colours.numel());
  for (uint32_t i = 0; i < palette.n_entries; ++i) {
    const auto colour = colours[i].item<int64_t>();
    palette.entries[i].red = static_cast<uint8_t>(colour >> 16);
    palette.entries[i].green = static_cast<uint8_t>(colour >> 8);
    palette.entries[i].blue = static_cast<uint8_t>(colour);
  }
  return numbers.to(torch::kByte).unsqueeze(2);
}

inline uint8_t png_colour_type(PngKind kind) {
  switch (kind) {
    case PngKind::kGrey8:
    case PngKind::kGrey16:
      return SPNG_COLOR_TYPE_GRAYSCALE;
    case PngKind::kRgba8:
      return SPNG_COLOR_TYPE_TRUECOLOR_ALPHA;
    case PngKind::kPalette:
      return SPNG_COLOR_TYPE_INDEXED;
    default:
      return SPNG_COLOR_TYPE_TRUECOLOR;
  }
}

inline void write_png(const std::filesystem::path& file, const torch::Tensor& pixels,
                      PngKind kind) {
  const bool is_wide = kind == PngKind::kGrey16 || kind == PngKind::kRgb16;
  const auto check = [&](int code) {
    if (code != 0) throw std::runtime_error(file.string() + ": " + spng_strerror(code));
  };
  spng_ctx* png = spng_ctx_new(SPNG_CTX_ENCODER);
  spng_ihdr header = {};
  header.height = static_cast<uint32_t>(pixels.size(0));
  header.width = static_cast<uint32_t>(pixels.size(1));
  header.bit_depth = is_wide ? 16 : 8;
  header.color_type = png_colour_type(kind);
  check(spng_set_option(png, SPNG_ENCODE_TO_BUFFER, 1));
  check(spng_set_ihdr(png, &header));
  torch::Tensor stored = pixels;
  if (kind == PngKind::kPalette) {
    spng_plte palette = {};
    stored = to_palette(pixels, palette);
    check(spng_set_plte(png, &palette));
  }
  // Two equal bytes are 257 times one of them, in both byte orders.
  stored = (is_wide ? stored.repeat_interleave(2, 2) : stored).contiguous();
  check(spng_encode_image(png, stored.data_ptr(), stored.nbytes(), SPNG_FMT_PNG,
                          SPNG_ENCODE_FINALIZE));
  size_t size = 0;
  int error = 0;
  void* bytes = spng_get_png_buffer(png, &size, &error);
  check(error);
  write_bytes(file, bytes, size);
  std::free(bytes);
  spng_ctx_free(png);
}

}  // namespace examples_test
