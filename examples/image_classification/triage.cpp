// SPDX-License-Identifier: Apache-2.0
// The command triage.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/torch.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "commands.hpp"
#include "common/atomic_file.hpp"
#include "common/data/image_folder.hpp"
#include "common/data/image_views.hpp"
#include "contact_sheet.hpp"
#include "network.hpp"
#include "prediction.hpp"
#include "triage_list.hpp"

namespace image_classification {
namespace {

namespace fs = std::filesystem;

// The image files below the folders, and the files themselves; each once, in the order of names.
std::vector<fs::path> files_below(const std::vector<std::string>& folders) {
  std::vector<fs::path> files;
  for (const fs::path path : folders) {
    if (!fs::exists(path)) {
      throw std::runtime_error(fmt::format(
          "{}: does not exist; name folders of JPEG or PNG files, or files", path.string()));
    }
    if (fs::is_directory(path)) {
      const std::vector<fs::path> below = examples::image_files(path);
      files.insert(files.end(), below.begin(), below.end());
    } else {
      files.push_back(path);
    }
  }
  std::sort(files.begin(), files.end());
  files.erase(std::unique(files.begin(), files.end()), files.end());
  if (files.empty()) {
    throw std::runtime_error(fmt::format(
        "triage needs at least one JPEG or PNG file (.jpg, .jpeg, .png), but found none "
        "in: {}",
        fmt::join(folders, ", ")));
  }
  return files;
}

// The images that can be read, in the order of the files.
std::vector<Triaged> triage_files(Loaded& loaded, const std::vector<fs::path>& files,
                                  const Settings& s) {
  const Description& about = loaded.network.about;
  const auto data =
      examples::with_channels(std::make_shared<examples::ImageFolder>(files), about.channels());
  const int64_t samples = loaded.posterior ? s.common.samples : 0;
  const Predicted p =
      predict_all(loaded.network, loaded.posterior, *data, s.data, {samples}, "triage").front();
  const auto [probability, predicted] = p.probs.max(1);
  std::vector<Triaged> all;
  for (int64_t i = 0; i < p.rows.size(0); ++i) {
    const fs::path& file = files[static_cast<size_t>(p.rows[i].item<int64_t>())];
    all.push_back({file, about.classes.at(static_cast<size_t>(predicted[i].item<int64_t>())),
                   probability[i].item<double>(), p.entropy[i].item<double>(),
                   p.mutual_information[i].item<double>(), class_of_folder(file, about.classes)});
  }
  return all;
}

void print_summary(const std::vector<Triaged>& images, size_t files, const fs::path& out,
                   bool drawn) {
  const size_t unreadable = files - images.size();
  size_t known = 0, wrong = 0;
  for (const Triaged& image : images) {
    if (!image.expected.empty()) ++known;
    if (image.is_wrong()) ++wrong;
  }
  fmt::print("{} files, {} could not be read\n", files, unreadable);
  if (known > 0) {
    fmt::print("{} lie in folders named after classes; {} of these are predicted otherwise\n",
               known, wrong);
  }
  fmt::print("All images, the most uncertain first: {}\n", (out / "triage.csv").string());
  fmt::print("The most uncertain as pictures: {}\n",
             (out / (drawn ? "triage.png" : "triage_images.png")).string());
}

}  // namespace

void triage(const Settings& s, const std::vector<std::string>& folders) {
  const std::vector<fs::path> files = files_below(folders);
  Loaded loaded = load_network(s.trained, torch::Device(s.common.device), s.common.bf16);
  std::vector<Triaged> images = triage_files(loaded, files, s);
  sort_by_entropy(images);
  const fs::path out = s.common.out;
  fs::create_directories(out);
  examples::write_atomically(out / "triage.csv", triage_csv(images));
  const auto top = static_cast<size_t>(s.top);
  const std::vector<Triaged> shown(
      images.begin(), images.begin() + static_cast<std::ptrdiff_t>(std::min(top, images.size())));
  const bool drawn = draw_contact_sheet(shown, images.size(), out);
  print_summary(images, files.size(), out, drawn);
}

}  // namespace image_classification
