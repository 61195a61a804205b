// SPDX-License-Identifier: Apache-2.0
// The command triage.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/torch.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <ivon/posterior/predict.hpp>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "commands.hpp"
#include "common/atomic_file.hpp"
#include "common/data/image_folder.hpp"
#include "common/data/image_views.hpp"
#include "common/progress.hpp"
#include "contact_sheet.hpp"
#include "data.hpp"
#include "network.hpp"
#include "triage_list.hpp"

namespace image_classification {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kUsualTop = 48;
constexpr int64_t kMaxTop = 1480;  // 185 rows: PNG files of gnuplot have at most 32767 pixel rows

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

// Images done, speed and time left: on a terminal one line that changes, elsewhere one line every
// ten seconds at most.
class TriageProgress {
 public:
  explicit TriageProgress(int64_t total) : total_(total) {}

  // `done` images, perhaps with a part of the next ones. `last` ends the line.
  void show(double done, bool last = false) {
    const Clock::time_point now = Clock::now();
    if (!last && seconds(last_shown_, now) < (terminal_ ? 0.2 : 8)) return;
    last_shown_ = now;
    const double rate = done / std::max(seconds(start_, now), 1e-9);
    const double left = (static_cast<double>(total_) - done) / std::max(rate, 1e-9);
    const std::string line = fmt::format(
        "triage | {:>{}}/{} images {:>3.0f}% | {:.1f} images/s | {} {}", static_cast<int64_t>(done),
        fmt::formatted_size("{}", total_), total_, 100 * done / static_cast<double>(total_), rate,
        last ? "took" : "ETA", examples::duration(last ? seconds(start_, now) : left));
    fmt::print("{}{:<80}{}", terminal_ ? "\r" : "", line, terminal_ && !last ? "" : "\n");
    std::fflush(stdout);
  }

 private:
  using Clock = std::chrono::steady_clock;

  static double seconds(Clock::time_point from, Clock::time_point to) {
    return std::chrono::duration<double>(to - from).count();
  }

  int64_t total_;
  bool terminal_ = isatty(STDOUT_FILENO) == 1;
  Clock::time_point start_ = Clock::now(), last_shown_ = start_;
};

// The next batch with a readable image. `strict`: a batch without one is an error.
std::optional<examples::ImageBatch> next_readable(examples::ImageLoader& loader, bool strict) {
  while (true) {
    try {
      return loader.next();
    } catch (const std::runtime_error&) {
      if (strict) throw;  // otherwise the loader has named each file on stderr and counted it
    }
  }
}

ivon::Prediction predict_batch_of(Loaded& loaded, const torch::Tensor& images, int64_t samples,
                                  const std::function<void(double share)>& progress) {
  const Network& network = loaded.network;
  const torch::Tensor inputs = network.inputs(images);
  if (samples == 0) return ivon::prediction_from_logits(network.logits(inputs).unsqueeze(0));
  ivon::PredictionAccumulator average;
  while (average.count() < samples) {
    const auto sample = loaded.posterior->sampled_params(*network.model);
    average.add(network.logits(inputs));
    progress(static_cast<double>(average.count()) / static_cast<double>(samples));
  }
  return average.result();
}

void add_triaged(std::vector<Triaged>& all, const std::vector<fs::path>& files,
                 const examples::ImageBatch& batch, const ivon::Prediction& p,
                 const std::vector<std::string>& classes) {
  const auto [probability, predicted] = p.probs.cpu().max(1);
  const torch::Tensor entropy = p.entropy.cpu(), information = p.mutual_information.cpu();
  for (int64_t i = 0; i < batch.rows.size(0); ++i) {
    const fs::path& file = files[static_cast<size_t>(batch.rows[i].item<int64_t>())];
    all.push_back({file, classes.at(static_cast<size_t>(predicted[i].item<int64_t>())),
                   probability[i].item<double>(), entropy[i].item<double>(),
                   information[i].item<double>(), class_of_folder(file, classes)});
  }
}

// The images that can be read, in the order of the files.
std::vector<Triaged> triage_files(Loaded& loaded, const std::vector<fs::path>& files,
                                  const Settings& s) {
  const torch::NoGradGuard no_grad;
  const Description& about = loaded.network.about;
  const auto data =
      examples::with_channels(std::make_shared<examples::ImageFolder>(files), about.channels());
  const int64_t samples = loaded.posterior ? s.common.samples : 0;
  const auto loader = test_loader(*data, about.crop(), about.side, s.data);
  TriageProgress progress(data->size());
  std::vector<Triaged> all;
  double done = 0;
  while (const auto batch = next_readable(*loader, s.data.strict)) {
    const auto n = static_cast<double>(batch->rows.size(0));
    const ivon::Prediction p = predict_batch_of(
        loaded, batch->images, samples, [&](double share) { progress.show(done + share * n); });
    add_triaged(all, files, *batch, p, about.classes);
    done = static_cast<double>(batch->rows[-1].item<int64_t>() + 1);
    progress.show(done);
  }
  if (all.empty()) throw std::runtime_error("no file can be read as an image; see above why");
  progress.show(static_cast<double>(data->size()), /*last=*/true);
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
  if (s.top > kMaxTop) {
    throw std::invalid_argument(
        fmt::format("--top must be at most {}, got {}; triage.csv has all images", kMaxTop, s.top));
  }
  const std::vector<fs::path> files = files_below(folders);
  Loaded loaded = load_network(s.trained, torch::Device(s.common.device), s.common.bf16);
  std::vector<Triaged> images = triage_files(loaded, files, s);
  sort_by_entropy(images);
  const fs::path out = s.common.out;
  fs::create_directories(out);
  examples::write_atomically(out / "triage.csv", triage_csv(images));
  const auto top = static_cast<size_t>(s.top > 0 ? s.top : kUsualTop);
  const std::vector<Triaged> shown(
      images.begin(), images.begin() + static_cast<std::ptrdiff_t>(std::min(top, images.size())));
  const bool drawn = draw_contact_sheet(shown, images.size(), out);
  print_summary(images, files.size(), out, drawn);
}

}  // namespace image_classification
