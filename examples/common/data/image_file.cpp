// SPDX-License-Identifier: Apache-2.0
#include "common/data/image_file.hpp"

#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "common/data/file_bytes.hpp"
#include "common/data/file_error.hpp"
#include "common/data/jpeg.hpp"
#include "common/data/png.hpp"
#include "common/data/resize.hpp"

namespace examples {
namespace {

constexpr std::array<uint8_t, 3> kJpegStart = {0xFF, 0xD8, 0xFF};
constexpr std::array<uint8_t, 8> kPngStart = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};

template <size_t kSize>
bool starts_with(const std::vector<uint8_t>& bytes, const std::array<uint8_t, kSize>& start) {
  return bytes.size() >= kSize && std::equal(start.begin(), start.end(), bytes.begin());
}

// How EXIF's orientations 1 to 8 lead from the stored image to the image: first the stored rows
// or columns or both are reversed, then rows and columns change places.
bool reverses_rows(int orientation) {
  return orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
}
bool reverses_columns(int orientation) {
  return orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
}
bool swaps_sides(int orientation) { return orientation >= 5; }

// Where a box of the image of height x width pixels lies in the stored image.
Box stored_box(Box box, int orientation, int64_t height, int64_t width) {
  if (swaps_sides(orientation)) {
    std::swap(box.top, box.left);
    std::swap(box.height, box.width);
    std::swap(height, width);
  }
  if (reverses_rows(orientation)) box.top = height - box.top - box.height;
  if (reverses_columns(orientation)) box.left = width - box.left - box.width;
  return box;
}

// Pixels [h, w, 1 or 3] of the stored image as pixels [height, width, 3] of the image. Loops, since
// the operations of ATen would start threads.
at::Tensor oriented(const at::Tensor& stored, int orientation) {
  const int64_t h = stored.size(0), w = stored.size(1), channels = stored.size(2);
  if (orientation == 1 && channels == 3) return stored;
  const bool swap = swaps_sides(orientation);
  const int64_t height = swap ? w : h, width = swap ? h : w;
  at::Tensor result = at::empty({height, width, 3}, at::kByte);
  const auto* from = stored.const_data_ptr<uint8_t>();
  auto* to = result.data_ptr<uint8_t>();
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x, to += 3) {
      int64_t row = swap ? x : y, column = swap ? y : x;
      if (reverses_rows(orientation)) row = h - 1 - row;
      if (reverses_columns(orientation)) column = w - 1 - column;
      const uint8_t* pixel = from + (row * w + column) * channels;
      for (int64_t c = 0; c < 3; ++c) to[c] = pixel[channels == 3 ? c : 0];
    }
  }
  return result;
}

struct ImageHeader {
  bool is_jpeg = false;
  int orientation = 1;  // EXIF's
  ImageSize size;
};

ImageHeader header_of_image(const std::string& name, const std::vector<uint8_t>& bytes) {
  if (starts_with(bytes, kJpegStart)) {
    const JpegHeader header = read_jpeg_header(name, bytes);
    const bool swap = swaps_sides(header.orientation);
    return {true,
            header.orientation,
            {swap ? header.width : header.height, swap ? header.height : header.width}};
  }
  if (starts_with(bytes, kPngStart)) {
    const PngHeader header = read_png_header(name, bytes);
    return {false, 1, {header.height, header.width}};
  }
  fail_file(name, bytes.empty() ? "is empty; an image is a JPEG or PNG file"
                                : "is neither a JPEG nor a PNG file, whatever its name says; "
                                  "convert it or remove it");
}

}  // namespace

ImageSize image_size(const std::filesystem::path& file) {
  constexpr int64_t kFirstBytes = 1 << 16;
  try {
    return header_of_image(file.string(), first_file_bytes(file, kFirstBytes)).size;
  } catch (const std::runtime_error&) {  // a header that is longer, or a file that is no image
    return header_of_image(file.string(), file_bytes(file)).size;
  }
}

EncodedImage::EncodedImage(const std::filesystem::path& file)
    : name_(file.string()), bytes_(file_bytes(file)) {
  const ImageHeader header = header_of_image(name_, bytes_);
  is_jpeg_ = header.is_jpeg;
  orientation_ = header.orientation;
  height_ = header.size.height;
  width_ = header.size.width;
}

at::Tensor EncodedImage::read(const Box& box, int64_t height, int64_t width) const {
  const Box stored = stored_box(box, orientation_, height_, width_);
  const bool swap = swaps_sides(orientation_);
  return oriented(read_stored(stored, swap ? width : height, swap ? height : width), orientation_);
}

at::Tensor EncodedImage::read_stored(const Box& box, int64_t height, int64_t width) const {
  const bool swap = swaps_sides(orientation_);
  // The part of the box in the image.
  const int64_t top = std::max<int64_t>(box.top, 0), left = std::max<int64_t>(box.left, 0);
  const int64_t bottom = std::min(box.top + box.height, swap ? width_ : height_);
  const int64_t right = std::min(box.left + box.width, swap ? height_ : width_);
  const bool is_whole = bottom - top == box.height && right - left == box.width;
  const bool is_unscaled = box.height == height && box.width == width;
  if (height < 1 || width < 1 || box.height < 1 || box.width < 1 || (!is_whole && !is_unscaled)) {
    throw std::invalid_argument(fmt::format(
        "{}: a box of {} x {} pixels from row {}, column {} does not lie in the stored image of "
        "{} x {}, and {} x {} pixels are asked for; cut the box, or read it at its own size",
        name_, box.height, box.width, box.top, box.left, swap ? width_ : height_,
        swap ? height_ : width_, height, width));
  }
  if (bottom <= top || right <= left) {  // nothing of the image
    at::Tensor black = at::empty({height, width, 3}, at::kByte);
    std::memset(black.data_ptr(), 0, black.nbytes());
    return black;
  }
  const Box part = {top, left, bottom - top, right - left};
  at::Tensor pixels;
  RealBox place = real_box({0, 0, part.height, part.width});
  if (is_jpeg_) {
    const JpegPart decoded = read_jpeg(name_, bytes_, part, is_whole ? height : part.height,
                                       is_whole ? width : part.width);
    pixels = decoded.pixels;
    place = decoded.box;
  } else {
    pixels = read_png_on_white(name_, bytes_)
                 .narrow(0, part.top, part.height)
                 .narrow(1, part.left, part.width);
  }
  if (!is_whole) {
    place = real_box({box.top - top, box.left - left, height, width});
  }
  return resized(pixels, place, height, width);
}

bool is_image_name(const std::filesystem::path& file) {
  std::string end = file.extension().string();
  for (char& c : end) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return end == ".jpg" || end == ".jpeg" || end == ".png";
}

}  // namespace examples
