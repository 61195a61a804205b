// SPDX-License-Identifier: Apache-2.0
#include "common/data/jpeg.hpp"

#include <ATen/ops/empty.h>
#include <fmt/format.h>

// jpeglib.h needs the two above it.
#include <csetjmp>
#include <cstdio>
//
#include <jerror.h>
#include <jpeglib.h>

#include <algorithm>
#include <array>
#include <cstddef>

#include "common/data/exif.hpp"
#include "common/data/file_error.hpp"
#include "common/data/image_limits.hpp"

namespace examples {
namespace {

// A small file can have any number of scans, each of which takes as long as the whole image. Real
// progressive files have about ten.
constexpr int kMaxJpegScans = 500;
// Scales, in eighths, that are faster than full size: they alone have vectorised transforms.
constexpr std::array<int, 3> kJpegScales = {1, 2, 4};
// Columns decoded on each side of the wanted ones, because the interpolation of a colour that is
// stored at half the resolution looks at the neighbours.
constexpr int64_t kJpegMargin = 2;
constexpr unsigned kMaxMarker = 0xFFFF;

// libjpeg reports errors by a callback that must not return. It must not throw either, because
// libjpeg's C functions are not compiled for exceptions, so it jumps. The functions that are jumped
// to and libjpeg's between them have no objects with destructors.
struct Decoder {
  jpeg_decompress_struct jpeg;  // first, so that its address is the decoder's
  jpeg_error_mgr errors;
  jpeg_progress_mgr progress;
  std::jmp_buf jump;
  char message[JMSG_LENGTH_MAX];
  bool is_damaged;  // the message is a warning of libjpeg, which would go on with grey pixels
};

[[noreturn]] void jump_out(j_common_ptr jpeg, bool is_damaged) {
  auto* decoder = reinterpret_cast<Decoder*>(jpeg);
  jpeg->err->format_message(jpeg, decoder->message);
  decoder->is_damaged = is_damaged;
  std::longjmp(decoder->jump, 1);
}

void on_jpeg_error(j_common_ptr jpeg) { jump_out(jpeg, false); }

void on_jpeg_message(j_common_ptr jpeg, int level) {
  if (level >= 0) return;  // a trace
  // Harmless: unused bytes between segments, unknown versions of the headers.
  const int code = jpeg->err->msg_code;
  if (code == JWRN_EXTRANEOUS_DATA || code == JWRN_JFIF_MAJOR || code == JWRN_ADOBE_XFORM) return;
  jump_out(jpeg, true);
}

void no_jpeg_output(j_common_ptr) {}

void limit_jpeg_scans(j_common_ptr jpeg) {
  auto* decoder = reinterpret_cast<Decoder*>(jpeg);
  if (decoder->jpeg.input_scan_number <= kMaxJpegScans) return;
  std::snprintf(decoder->message, sizeof decoder->message,
                "an image must have at most %d scans; store it again or remove it", kMaxJpegScans);
  decoder->is_damaged = false;
  std::longjmp(decoder->jump, 1);
}

bool begin_jpeg(Decoder* d, const uint8_t* bytes, size_t size, bool with_exif) {
  d->jpeg.err = jpeg_std_error(&d->errors);
  d->errors.error_exit = on_jpeg_error;
  d->errors.emit_message = on_jpeg_message;
  d->errors.output_message = no_jpeg_output;
  if (setjmp(d->jump) != 0) return false;
  jpeg_create_decompress(&d->jpeg);
  d->progress.progress_monitor = limit_jpeg_scans;
  d->jpeg.progress = &d->progress;
  jpeg_mem_src(&d->jpeg, bytes, size);
  if (with_exif) jpeg_save_markers(&d->jpeg, JPEG_APP0 + 1, kMaxMarker);
  jpeg_read_header(&d->jpeg, TRUE);
  return true;
}

// Begins the decoding of rows from `top` on and of `*columns` columns from `*left` on, both in the
// scaled image. Widens the columns to whole blocks.
bool start_jpeg(Decoder* d, unsigned top, unsigned* left, unsigned* columns) {
  if (setjmp(d->jump) != 0) return false;
  jpeg_start_decompress(&d->jpeg);
  if (*columns < d->jpeg.output_width) jpeg_crop_scanline(&d->jpeg, left, columns);
  if (top > 0) jpeg_skip_scanlines(&d->jpeg, top);
  return true;
}

bool read_jpeg_rows(Decoder* d, uint8_t* to, size_t row, unsigned count) {
  if (setjmp(d->jump) != 0) return false;
  const unsigned begin = d->jpeg.output_scanline;
  for (unsigned done = 0; done < count; done = d->jpeg.output_scanline - begin) {
    JSAMPROW next = to + row * done;
    jpeg_read_scanlines(&d->jpeg, &next, 1);
  }
  return true;
}

// A decoder after the header, with the errors as exceptions.
class OpenJpeg {
 public:
  OpenJpeg(const std::string& name, const std::vector<uint8_t>& bytes, bool with_exif)
      : name_(name) {
    const bool is_good = begin_jpeg(&decoder_, bytes.data(), bytes.size(), with_exif);
    try {
      check(is_good);
      check_image_size(name_, decoder_.jpeg.image_height, decoder_.jpeg.image_width);
    } catch (...) {
      jpeg_destroy_decompress(&decoder_.jpeg);
      throw;
    }
  }
  OpenJpeg(const OpenJpeg&) = delete;
  OpenJpeg& operator=(const OpenJpeg&) = delete;
  ~OpenJpeg() { jpeg_destroy_decompress(&decoder_.jpeg); }

  jpeg_decompress_struct& jpeg() { return decoder_.jpeg; }

  void start(unsigned top, unsigned* left, unsigned* columns) {
    check(start_jpeg(&decoder_, top, left, columns));
  }

  void read(uint8_t* to, size_t row, unsigned count) {
    check(read_jpeg_rows(&decoder_, to, row, count));
  }

 private:
  void check(bool is_good) const {
    if (is_good) return;
    const char* what = decoder_.is_damaged ? "is damaged" : "cannot be decoded";
    fail_file(name_, fmt::format("{}: {}", what, decoder_.message));
  }

  const std::string& name_;
  Decoder decoder_ = {};
};

// A smallest scale that keeps height x width pixels in the box; 8 is the full size.
int eighths(const Box& box, int64_t height, int64_t width) {
  for (const int scale : kJpegScales) {
    if (box.height * scale >= 8 * height && box.width * scale >= 8 * width) return scale;
  }
  return 8;
}

// Ink of cyan, magenta, yellow and black [pixels, 4] -> red, green and blue [pixels, 3]. Adobe's
// programs, which write nearly all such files, store 255 for no ink.
void inks_to_rgb(const uint8_t* inks, bool is_inverted, uint8_t* rgb, int64_t pixels) {
  const int flip = is_inverted ? 0 : 255;
  for (int64_t i = 0; i < pixels; ++i) {
    const int black = inks[4 * i + 3] ^ flip;
    for (int64_t c = 0; c < 3; ++c) {
      rgb[3 * i + c] = static_cast<uint8_t>(((inks[4 * i + c] ^ flip) * black + 127) / 255);
    }
  }
}

// The colours that libjpeg is to give: 1 for grey, 3 for RGB, 4 for the four inks of print.
int choose_colours(jpeg_decompress_struct& jpeg) {
  switch (jpeg.jpeg_color_space) {
    case JCS_GRAYSCALE:
      jpeg.out_color_space = JCS_GRAYSCALE;
      return 1;
    case JCS_CMYK:
    case JCS_YCCK:
      jpeg.out_color_space = JCS_CMYK;
      return 4;
    default:
      jpeg.out_color_space = JCS_RGB;
      return 3;
  }
}

}  // namespace

JpegHeader read_jpeg_header(const std::string& name, const std::vector<uint8_t>& bytes) {
  OpenJpeg open(name, bytes, /*with_exif=*/true);
  JpegHeader header;
  header.height = open.jpeg().image_height;
  header.width = open.jpeg().image_width;
  for (const auto* m = open.jpeg().marker_list; m != nullptr && header.orientation == 1;
       m = m->next) {
    header.orientation = exif_orientation(m->data, m->data_length);
  }
  return header;
}

JpegPart read_jpeg(const std::string& name, const std::vector<uint8_t>& bytes, const Box& box,
                   int64_t height, int64_t width) {
  OpenJpeg open(name, bytes, /*with_exif=*/false);
  jpeg_decompress_struct& jpeg = open.jpeg();
  const int scale = eighths(box, height, width);
  jpeg.scale_num = static_cast<unsigned>(scale);
  jpeg.scale_denom = 8;
  const int colours = choose_colours(jpeg);

  // The scaled pixels that the box touches.
  const auto up = [&](int64_t x) { return (x * scale + 7) / 8; };
  const int64_t image_width = up(jpeg.image_width);
  const int64_t top = box.top * scale / 8, bottom = up(box.top + box.height);
  const int64_t begin = std::max<int64_t>(box.left * scale / 8 - kJpegMargin, 0);
  const int64_t end = std::min(up(box.left + box.width) + kJpegMargin, image_width);
  auto left = static_cast<unsigned>(begin), columns = static_cast<unsigned>(end - begin);
  open.start(static_cast<unsigned>(top), &left, &columns);

  JpegPart part;
  const int64_t rows = bottom - top;
  at::Tensor decoded = at::empty({rows, columns, colours}, at::kByte);
  open.read(decoded.data_ptr<uint8_t>(), static_cast<size_t>(decoded.stride(0)),
            static_cast<unsigned>(rows));
  part.pixels = decoded;
  if (colours == 4) {
    part.pixels = at::empty({rows, columns, 3}, at::kByte);
    inks_to_rgb(decoded.const_data_ptr<uint8_t>(), jpeg.saw_Adobe_marker == TRUE,
                part.pixels.data_ptr<uint8_t>(), rows * columns);
  }
  // Only the columns that the box touches, so that the result does not depend on the blocks.
  const int64_t first = box.left * scale / 8;
  part.pixels = part.pixels.narrow(1, first - left, up(box.left + box.width) - first);
  const auto scaled = [&](int64_t x) { return static_cast<double>(x * scale) / 8; };
  part.box = {scaled(box.top) - static_cast<double>(top),
              scaled(box.left) - static_cast<double>(first), scaled(box.height), scaled(box.width)};
  return part;
}

}  // namespace examples
