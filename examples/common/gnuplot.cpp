// SPDX-License-Identifier: Apache-2.0
#include "gnuplot.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <stdexcept>

namespace examples {
namespace {

constexpr const char* kPreamble =
    "set terminal pngcairo size {},{} font 'DejaVu Sans,12' background rgb 'white'\n"
    "set output '{}.png'\n"
    "set border 3 lc rgb '#444444' lw 1.2\n"
    "set tics nomirror out scale 0.6 textcolor rgb '#333333'\n"
    "set grid back lc rgb '#E4E4E4' lt 1 lw 1\n"
    "set key noautotitle samplen 2 spacing 1.15\n"
    "set datafile missing 'nan'\n";

void write_text(const std::filesystem::path& file, const std::string& text) {
  std::ofstream out(file);
  out << text;
  out.close();
  if (!out) {
    throw std::runtime_error(fmt::format(
        "{}: cannot be written; check the folder's permissions and free space", file.string()));
  }
}

// `path` as one word of a POSIX shell.
std::string quoted(const std::string& path) {
  std::string word = "'";
  for (const char c : path) word += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return word + "'";
}

}  // namespace

void write_data(const std::filesystem::path& file, const std::string& header,
                const std::vector<std::vector<double>>& rows) {
  std::string text = "# " + header + "\n";
  for (const auto& row : rows) text += fmt::format("{:.8g}\n", fmt::join(row, " "));
  write_text(file, text);
}

bool draw(const std::filesystem::path& folder, const std::string& name, int width, int height,
          const std::string& script) {
  write_text(folder / (name + ".gp"), fmt::format(kPreamble, width, height, name) + script);
  const std::string redraw = fmt::format("cd {} && gnuplot {}.gp", quoted(folder.string()), name);
  if (std::system("command -v gnuplot >/dev/null 2>&1") != 0) {
    fmt::print(stderr,
               "gnuplot is not installed (Debian: apt-get install gnuplot-nox), so {}.png was not "
               "drawn; its data and script are written, draw it later with: {}\n",
               name, redraw);
    return false;
  }
  if (std::system(redraw.c_str()) != 0) {
    fmt::print(stderr, "gnuplot failed on {}.gp (its message is above); draw it again with: {}\n",
               name, redraw);
    return false;
  }
  return true;
}

}  // namespace examples
