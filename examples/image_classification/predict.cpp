// SPDX-License-Identifier: Apache-2.0
// The command predict.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/torch.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <stdexcept>

#include "commands.hpp"
#include "common/data/image_folder.hpp"
#include "common/data/image_views.hpp"
#include "network.hpp"
#include "prediction.hpp"

namespace image_classification {
namespace {

// Throws where some files have no prediction, so that scripts notice.
void require_all(const std::vector<std::string>& files, const Predicted& p) {
  std::vector<std::string> missing;
  for (size_t i = 0; i < files.size(); ++i) {
    if (!(p.rows == static_cast<int64_t>(i)).any().item<bool>()) missing.push_back(files[i]);
  }
  if (missing.empty()) return;
  throw std::runtime_error(
      fmt::format("every file must be readable, but {} of {} could not be read: {}; correct their "
                  "names or leave them out",
                  missing.size(), files.size(), fmt::join(missing, ", ")));
}

}  // namespace

void predict_files(const Settings& s, const std::vector<std::string>& files) {
  Loaded loaded = load_network(s.trained, torch::Device(s.common.device), s.common.bf16);
  const Description& about = loaded.network.about;
  const std::vector<std::filesystem::path> paths(files.begin(), files.end());
  const auto images =
      examples::with_channels(std::make_shared<examples::ImageFolder>(paths), about.channels());
  const int64_t samples = loaded.posterior ? s.common.samples : 0;
  const Predicted p =
      predict_all(loaded.network, loaded.posterior, *images, s.data, {samples}, "predict").front();
  const int64_t shown = std::min<int64_t>(5, p.probs.size(1));
  const auto [top, classes] = p.probs.topk(shown, 1);
  for (int64_t i = 0; i < p.rows.size(0); ++i) {
    fmt::print("{}  entropy {:.3f} nats, mutual information {:.3f} nats\n",
               images->name(p.rows[i].item<int64_t>()), p.entropy[i].item<double>(),
               p.mutual_information[i].item<double>());
    for (int64_t k = 0; k < shown; ++k) {
      const auto name = static_cast<size_t>(classes[i][k].item<int64_t>());
      fmt::print("  {:6.2f} %  {}\n", 100 * top[i][k].item<double>(), about.classes[name]);
    }
  }
  std::fflush(stdout);  // before the error, which goes to stderr
  require_all(files, p);
}

}  // namespace image_classification
