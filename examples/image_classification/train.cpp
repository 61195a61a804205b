// SPDX-License-Identifier: Apache-2.0
// The command train.
#include <fmt/format.h>
#include <torch/torch.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <ivon/diagnostics.hpp>
#include <sstream>

#include "commands.hpp"
#include "common/memory.hpp"
#include "common/run_log.hpp"
#include "evaluation.hpp"
#include "training.hpp"

namespace image_classification {
namespace {

void print_data(const DataSets& data, const Settings& s) {
  fmt::print("{}: {} training and {} test images of {} classes\n", s.data.folder,
             data.train->size(), data.test->size(), data.train->classes.size());
}

examples::Json train_one(const Settings& s, const examples::Settings& list, const DataSets& data,
                         const examples::ImageData* outside, int64_t seed, examples::RunLog& log) {
  const Run run{s,
                s.optimizer,
                data,
                s.optimizer.name,
                seed,
                s.training.epochs,
                training_fingerprint(s, list, data),
                log};
  Trained trained = train_network(run);
  if (!std::isfinite(trained.loss)) {
    fmt::print(stderr, "warning: the training has diverged (loss {}); choose a smaller --lr\n",
               trained.loss);
  }
  std::optional<ivon::Posterior> posterior = trained.posterior();
  const std::filesystem::path folder =
      std::filesystem::path(s.common.out) / fmt::format("{}-{}", run.name, seed);
  save_network(folder, trained.network, posterior);
  fmt::print("Saved in {}; scoring {} test images\n", folder.string(), data.test->size());
  const Evaluation evaluation =
      evaluate(trained.network, posterior, data, outside, s.data, s.common.samples);
  fmt::print("\n{}\n", evaluation.table());
  examples::Json result = {{"seed", seed},
                           {"seconds", trained.seconds},
                           {"loss", trained.loss},
                           {"unreadable", trained.unreadable},
                           {"scores", evaluation.to_json()}};
  if (const ivon::IVON<>* ivon = examples::as_ivon(*trained.optimizer)) {
    std::ostringstream diagnostics;
    diagnostics << ivon::diagnostics(*ivon);
    fmt::print("{}\n", diagnostics.str());
    result["diagnostics"] = diagnostics.str();
  }
  examples::write_results(folder, {{"settings", list.to_json()}, {"runs", {result}}});
  return result;
}

}  // namespace

void train(Settings& s, const examples::Settings& list) {
  const DataSets data = open_training_data(s);
  print_data(data, s);
  const ImagesPtr outside = open_outside(s.data.outside, data.train->channels());
  examples::RunLog log(s.common.out, s.common.resume);
  examples::Json runs = examples::Json::array();
  for (int64_t i = 0; i < s.common.seeds; ++i) {
    runs.push_back(train_one(s, list, data, outside.get(), s.common.seed + i, log));
  }
  const double peak = examples::peak_memory_gib();
  fmt::print("Peak memory {:.2f} GiB\n", peak);
  examples::write_results(
      s.common.out, {{"settings", list.to_json()}, {"runs", runs}, {"peak_memory_gib", peak}});
}

}  // namespace image_classification
