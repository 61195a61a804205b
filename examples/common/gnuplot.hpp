// SPDX-License-Identifier: Apache-2.0
// Figures by gnuplot: a data file and a script in the output folder, and the PNG made from them.
// The script stays beside its data, so a figure can be changed and drawn again without the program.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace examples {

// Colours that stay apart for colour-blind readers (Okabe and Ito).
inline constexpr const char* kOrange = "#D55E00";
inline constexpr const char* kSky = "#56B4E9";
inline constexpr const char* kBlue = "#0072B2";
inline constexpr const char* kGreen = "#009E73";
inline constexpr const char* kPurple = "#CC79A7";
inline constexpr const char* kAmber = "#E69F00";
inline constexpr const char* kBlack = "#000000";
inline constexpr const char* kGrey = "#777777";

// One blank-separated line per row; an empty row is an empty line (gnuplot's end of a scan line).
// `header` becomes a comment. Throws std::runtime_error if the file cannot be written.
void write_data(const std::filesystem::path& file, const std::string& header,
                const std::vector<std::vector<double>>& rows);

// Writes `folder`/`name`.gp, which is `script` after lines that set a `width` x `height` pixel PNG
// `name`.png with legible fonts and light axes, and runs gnuplot on it inside `folder`.
// Returns true when the PNG was written. Otherwise tells on stderr what is missing and how to draw
// the figure later, and returns false: no example fails for want of gnuplot.
bool draw(const std::filesystem::path& folder, const std::string& name, int width, int height,
          const std::string& script);

}  // namespace examples
