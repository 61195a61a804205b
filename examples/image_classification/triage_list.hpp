// SPDX-License-Identifier: Apache-2.0
// What triage finds out about each image, and the table of it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace image_classification {

struct Triaged {
  std::filesystem::path file;
  std::string predicted;          // the most probable class
  double probability = 0;         // of that class
  double entropy = 0;             // nats
  double mutual_information = 0;  // nats; 0 without samples of the weights
  std::string expected = {};      // the class that the file's folder is named after; empty: none

  bool is_wrong() const { return !expected.empty() && expected != predicted; }
};

// The name of the folder that holds the file if it is one of the classes, else an empty string.
std::string class_of_folder(const std::filesystem::path& file,
                            const std::vector<std::string>& classes);

// The most uncertain ones first, by entropy; equal ones by the names of the files.
void sort_by_entropy(std::vector<Triaged>& images);

// A field of a CSV file by RFC 4180: in double quotes where it needs them.
std::string csv_field(const std::string& text);

// A CSV file by RFC 4180 with a header and a line for each image. "correct" is yes, no, or empty
// for a file whose folder is not named after a class.
std::string triage_csv(const std::vector<Triaged>& images);

}  // namespace image_classification
