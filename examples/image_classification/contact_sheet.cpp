// SPDX-License-Identifier: Apache-2.0
#include "contact_sheet.hpp"

#include <ATen/ops/full.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <stdexcept>

#include "common/data/image_file.hpp"
#include "common/data/png_writer.hpp"
#include "common/gnuplot.hpp"

namespace image_classification {
namespace {

constexpr int64_t kThumbnail = 128;  // pixels
constexpr int64_t kPerRow = 8;
constexpr int64_t kCellWidth = kThumbnail + 20, kCellHeight = kThumbnail + 48;
constexpr int64_t kMargin = 16, kTitleHeight = 48;
constexpr size_t kCaptionCharacters = 20;
constexpr int kPaper = 255, kLetterbox = 232;  // grey levels

struct Place {
  int64_t top, left;  // of the thumbnail
};

Place place_of(size_t index) {
  const auto i = static_cast<int64_t>(index);
  return {kTitleHeight + i / kPerRow * kCellHeight, kMargin + i % kPerRow * kCellWidth};
}

// The length of the UTF-8 character at text[i], 1 to 4 bytes; 0 if there is no valid one. A lead
// byte is checked by its range and the bytes after it by their first two bits.
size_t character_length(const std::string& text, size_t i) {
  const auto byte = [&text](size_t at) { return static_cast<unsigned char>(text[at]); };
  const unsigned char lead = byte(i);
  if (lead < 0x80) return lead < 0x20 || lead == 0x7F ? 0 : 1;
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || i + length > text.size()) return 0;
  for (size_t k = 1; k < length; ++k) {
    if ((byte(i + k) & 0xC0) != 0x80) return 0;
  }
  return length;
}

// In single quotes, where gnuplot takes all other characters as they are.
std::string gnuplot_string(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("''") : std::string(1, c);
  return quoted + "'";
}

// An image that was predicted from its middle may be damaged at its edge: then it stays grey.
at::Tensor thumbnail_or_grey(const std::filesystem::path& file) {
  try {
    return thumbnail(file, kThumbnail);
  } catch (const std::runtime_error& error) {
    fmt::print(stderr, "not on the sheet: {}\n", error.what());
    return at::full({kThumbnail, kThumbnail, 3}, kLetterbox, at::kByte);
  }
}

at::Tensor sheet_of_thumbnails(const std::vector<Triaged>& images, int64_t height, int64_t width) {
  at::Tensor sheet = at::full({height, width, 3}, kPaper, at::kByte);
  for (size_t i = 0; i < images.size(); ++i) {
    const auto [top, left] = place_of(i);
    sheet.slice(0, top, top + kThumbnail)
        .slice(1, left, left + kThumbnail)
        .copy_(thumbnail_or_grey(images[i].file));
  }
  return sheet;
}

std::string caption(const Triaged& image, Place place, int64_t height) {
  const std::string percent = fmt::format(" {:.0f} %", 100 * image.probability);
  const std::string first = shortened(image.predicted, kCaptionCharacters - percent.size());
  const std::string name = shortened(image.file.filename().string(), kCaptionCharacters);
  const int64_t centre = place.left + kThumbnail / 2;
  const int64_t below = height - place.top - kThumbnail;  // gnuplot's y runs upwards
  return fmt::format(
      "set label {} at {},{} center front noenhanced font ',9' tc rgb '{}'\n"
      "set label {} at {},{} center front noenhanced font ',8' tc rgb '#666666'\n",
      gnuplot_string(first + percent), centre, below - 10,
      image.is_wrong() ? examples::kOrange : "#222222", gnuplot_string(name), centre, below - 25);
}

std::string sheet_script(const std::vector<Triaged>& images, size_t total, int64_t height,
                         int64_t width) {
  const bool any_wrong = std::any_of(images.begin(), images.end(),
                                     [](const Triaged& image) { return image.is_wrong(); });
  std::string script = fmt::format(
      "set encoding utf8\nunset border\nunset tics\nunset grid\nunset key\n"
      "set lmargin at screen 0\nset rmargin at screen 1\nset bmargin at screen 0\n"
      "set tmargin at screen 1\nset xrange [0:{}]\nset yrange [0:{}]\n"
      "set label 'The {} most uncertain of {} images by entropy, with the class predicted{}' at "
      "{},{} left front font ',13' tc rgb '#222222'\n",
      width, height, images.size(), total, any_wrong ? " (orange: not the folder''s)" : "", kMargin,
      height - kTitleHeight / 2);
  for (size_t i = 0; i < images.size(); ++i) script += caption(images[i], place_of(i), height);
  return script + "plot 'triage_images.png' binary filetype=png with rgbimage\n";
}

}  // namespace

at::Tensor thumbnail(const std::filesystem::path& file, int64_t side) {
  const examples::EncodedImage image(file);
  const auto longest = static_cast<double>(std::max(image.height(), image.width()));
  const auto scaled = [&](int64_t length) {
    const double pixels = static_cast<double>(side * length) / longest;
    return std::clamp<int64_t>(std::lround(pixels), 1, side);
  };
  const int64_t height = scaled(image.height()), width = scaled(image.width());
  const int64_t top = (side - height) / 2, left = (side - width) / 2;
  at::Tensor square = at::full({side, side, 3}, kLetterbox, at::kByte);
  square.slice(0, top, top + height)
      .slice(1, left, left + width)
      .copy_(image.read({0, 0, image.height(), image.width()}, height, width));
  return square;
}

std::string shortened(const std::string& text, size_t most) {
  std::vector<std::string> characters;
  for (size_t i = 0; i < text.size();) {
    const size_t length = character_length(text, i);
    characters.push_back(length == 0 ? "?" : text.substr(i, length));
    i += std::max<size_t>(1, length);
  }
  const bool cut = characters.size() > most;
  const size_t tail = (most - 1) / 2, head = most - 1 - tail;
  std::string result;
  for (size_t i = 0; i < characters.size(); ++i) {
    if (cut && i == head) result += "…";
    if (!cut || i < head || i >= characters.size() - tail) result += characters[i];
  }
  return result;
}

bool draw_contact_sheet(const std::vector<Triaged>& images, size_t total,
                        const std::filesystem::path& out) {
  const auto count = static_cast<int64_t>(images.size());
  const int64_t rows = (count + kPerRow - 1) / kPerRow;
  const int64_t height = kTitleHeight + rows * kCellHeight;
  const int64_t width = 2 * kMargin + kPerRow * kCellWidth - (kCellWidth - kThumbnail);
  examples::write_png(out / "triage_images.png", sheet_of_thumbnails(images, height, width));
  return examples::draw(out, "triage", static_cast<int>(width), static_cast<int>(height),
                        sheet_script(images, total, height, width));
}

}  // namespace image_classification
