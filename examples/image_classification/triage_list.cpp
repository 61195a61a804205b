// SPDX-License-Identifier: Apache-2.0
#include "triage_list.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace image_classification {

std::string class_of_folder(const std::filesystem::path& file,
                            const std::vector<std::string>& classes) {
  const std::string folder = std::filesystem::absolute(file).parent_path().filename().string();
  const bool is_class = std::find(classes.begin(), classes.end(), folder) != classes.end();
  return is_class ? folder : "";
}

void sort_by_entropy(std::vector<Triaged>& images) {
  std::sort(images.begin(), images.end(), [](const Triaged& a, const Triaged& b) {
    return std::tie(b.entropy, a.file) < std::tie(a.entropy, b.file);
  });
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string triage_csv(const std::vector<Triaged>& images) {
  std::string csv = "file,predicted,probability,entropy,mutual_information,class,correct\r\n";
  for (const Triaged& image : images) {
    const char* correct = image.expected.empty() ? "" : image.is_wrong() ? "no" : "yes";
    csv += fmt::format("{},{},{:.6f},{:.6f},{:.6f},{},{}\r\n", csv_field(image.file.string()),
                       csv_field(image.predicted), image.probability, image.entropy,
                       image.mutual_information, csv_field(image.expected), correct);
  }
  return csv;
}

}  // namespace image_classification
