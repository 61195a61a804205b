// SPDX-License-Identifier: Apache-2.0
#include "comparison.hpp"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <limits>
#include <system_error>
#include <utility>

#include "common/data/image_views.hpp"
#include "common/table.hpp"
#include "result_files.hpp"

namespace image_classification {
namespace {

const double kRateFactors[] = {0.1, 0.316, 1, 3.16, 10};

// Holds out `wanted` training images, 0: a fifth. They are spread evenly, so that each class keeps
// its share where the images come class by class.
DataSets split_training_images(const DataSets& data, int64_t wanted) {
  const int64_t total = data.train->size();
  const int64_t held_out =
      std::clamp<int64_t>(wanted > 0 ? wanted : total / 5, 1, std::max<int64_t>(1, total - 1));
  std::vector<int64_t> fit, held;
  for (int64_t i = 0; i < total; ++i) {
    const bool is_held = (i + 1) * held_out / total > i * held_out / total;
    (is_held ? held : fit).push_back(i);
  }
  DataSets split;
  split.files = data.files;
  split.train = std::make_shared<examples::ImageSubset>(data.train, fit);
  split.test = std::make_shared<examples::ImageSubset>(data.train, held);
  return split;
}

}  // namespace

std::string run_name(const std::string& optimizer, double lr, const std::string& phase) {
  return fmt::format("{}-{:.3g}-{}", optimizer, lr, phase);
}

Comparison::Comparison(const Settings& s, const examples::Settings& list, const DataSets& data,
                       ImagesPtr outside, examples::RunLog& log)
    : s_(s),
      list_(list),
      data_(data),
      search_(split_training_images(data, s.search_images)),
      outside_(std::move(outside)),
      log_(log) {}

Evaluation Comparison::evaluation_of(Trained& trained, const DataSets& data, bool searching) const {
  std::optional<ivon::Posterior> posterior = trained.posterior();
  if (!searching) {
    return evaluate(trained.network, posterior, data, outside_.get(), s_.data, s_.common.samples);
  }
  Evaluation evaluation;
  evaluation.mean =
      predict_all(trained.network, posterior, *data.test, s_.data, {0}, "held out").front();
  evaluation.averaged = evaluation.mean;
  evaluation.rows.push_back(
      {0, batch_norm_as_trained(trained.network), score(evaluation.mean, nullptr)});
  return evaluation;
}

Result Comparison::result(const examples::OptimizerSettings& optimizer, const std::string& phase,
                          int64_t seed) {
  const bool searching = phase == "search";
  const DataSets& data = searching ? search_ : data_;
  const int64_t epochs = searching ? s_.search_epochs : s_.training.epochs;
  const std::string name = run_name(optimizer.name, optimizer.lr, phase);
  examples::Json fingerprint = training_fingerprint(s_, list_, data);
  fingerprint["epochs"] = epochs;
  fingerprint["lr"] = optimizer.lr;
  fingerprint["seed"] = seed;
  examples::Json of_result = fingerprint;
  for (const char* setting : {"data", "test-limit", "outside", "samples", "search-images"}) {
    of_result[setting] = list_.to_json()[setting];
  }
  const std::filesystem::path out = s_.common.out;
  const std::filesystem::path folder = out / "runs" / fmt::format("{}-{}", name, seed);
  Result result;
  if (s_.common.resume && load_result(folder, of_result, result)) return result;
  const Run run{s_, optimizer, data, name, seed, epochs, fingerprint, log_};
  Trained trained = train_network(run);
  result = {optimizer.name, optimizer.lr,    seed,
            epochs,         trained.seconds, evaluation_of(trained, data, searching)};
  save_result(folder, of_result, result);
  // The result takes the checkpoint's place, which for a ResNet-50 is hundreds of megabytes.
  std::error_code ignored;
  std::filesystem::remove(out / fmt::format("checkpoint-{}-{}.pt", name, seed), ignored);
  return result;
}

Result Comparison::final_result(const examples::OptimizerSettings& optimizer, int64_t seed) {
  return result(optimizer, "final", seed);
}

examples::OptimizerSettings Comparison::with_best_rate(const std::string& optimizer) {
  examples::OptimizerSettings usual = usual_optimizer(optimizer);
  if (s_.training.mc_samples > 1) usual.sample_on_step = false;
  if (s_.noise_max > 0) usual.noise_max = s_.noise_max;
  if (s_.search_epochs == 0) return usual;
  const size_t count = std::size(kRateFactors);
  size_t best = count;
  double lowest = std::numeric_limits<double>::infinity();
  examples::OptimizerSettings chosen = usual;
  for (size_t i = 0; i < count; ++i) {
    examples::OptimizerSettings tried = usual;
    tried.lr = usual.lr * kRateFactors[i];
    const Scores scores = result(tried, "search", s_.common.seed).evaluation.rows.front().scores;
    trials_.push_back({optimizer, tried.lr, scores.nll, scores.accuracy});
    if (scores.nll >= lowest) continue;
    lowest = scores.nll;
    best = i;
    chosen = tried;
  }
  if (best == count) {
    fmt::print(stderr, "warning: {}: all learning rates diverge; the usual one is taken\n",
               optimizer);
  } else if (best == 0 || best == count - 1) {
    fmt::print(stderr, "warning: {}: the {} learning rate that was tried is the best, {:.3g}\n",
               optimizer, best == 0 ? "smallest" : "largest", chosen.lr);
  }
  return chosen;
}

std::vector<Group> grouped(const std::vector<Result>& results) {
  std::vector<Group> groups;
  for (const Result& result : results) {
    for (const Row& row : result.evaluation.rows) {
      const int64_t most = result.evaluation.rows.back().samples;
      if (row.samples != 0 && row.samples != most) continue;
      auto group = std::find_if(groups.begin(), groups.end(), [&](const Group& g) {
        return g.optimizer == result.optimizer && g.samples == row.samples &&
               g.batch_norm == row.batch_norm;
      });
      if (group == groups.end()) {
        groups.push_back({method_title(result.optimizer, row.samples, most > 0),
                          result.optimizer,
                          row.samples,
                          row.batch_norm,
                          {},
                          {}});
        group = groups.end() - 1;
      }
      group->scores.push_back(row.scores);
      group->seconds_per_epoch.push_back(result.seconds / static_cast<double>(result.epochs));
    }
  }
  return groups;
}

namespace {

bool has_any(const ScoreColumn& column, const std::vector<Group>& groups) {
  return std::any_of(groups.begin(), groups.end(), [&](const Group& g) {
    return std::any_of(g.scores.begin(), g.scores.end(),
                       [&](const Scores& s) { return column.of(s).has_value(); });
  });
}

}  // namespace

std::string comparison_table(const std::vector<Group>& groups) {
  std::vector<ScoreColumn> shown;
  for (const ScoreColumn& column : score_columns()) {
    if (has_any(column, groups)) shown.push_back(column);
  }
  std::vector<std::string> header = {"", "batch norm"};
  for (const ScoreColumn& column : shown) header.push_back(column.title);
  header.push_back("s/epoch");
  std::vector<std::vector<std::string>> rows;
  for (const Group& g : groups) {
    rows.push_back({g.title, g.batch_norm});
    for (const ScoreColumn& column : shown) {
      std::vector<double> values;
      for (const Scores& s : g.scores) {
        values.push_back(column.factor * column.of(s).value_or(std::nan("")));
      }
      rows.back().push_back(examples::format_estimate(examples::estimate(values), column.digits));
    }
    rows.back().push_back(examples::format_estimate(examples::estimate(g.seconds_per_epoch), 1));
  }
  return examples::format_table(header, rows);
}

std::string trial_table(const std::vector<Comparison::Trial>& trials) {
  std::vector<std::vector<std::string>> rows;
  for (const Comparison::Trial& t : trials) {
    rows.push_back({t.optimizer, fmt::format("{:.3g}", t.lr), fmt::format("{:.4f}", t.nll),
                    fmt::format("{:.2f}", 100 * t.accuracy)});
  }
  return examples::format_table({"optimizer", "learning rate", "NLL", "acc. %"}, rows);
}

}  // namespace image_classification
