// SPDX-License-Identifier: Apache-2.0
// The command compare.
#include <fmt/format.h>

#include <filesystem>
#include <sstream>
#include <stdexcept>

#include "commands.hpp"
#include "common/run_log.hpp"
#include "comparison.hpp"
#include "figures.hpp"
#include "selective.hpp"

namespace image_classification {
namespace {

std::vector<std::string> split_names(const std::string& text) {
  std::vector<std::string> names;
  std::istringstream in(text);
  for (std::string name; std::getline(in, name, ',');) {
    examples::optimizer_settings(name);  // throws for an unknown name
    names.push_back(name);
  }
  if (names.empty()) throw std::invalid_argument("--optimizers must name at least 1 optimizer");
  return names;
}

examples::Json to_json(const std::vector<Group>& groups) {
  examples::Json json = examples::Json::array();
  for (const Group& g : groups) {
    examples::Json seeds = examples::Json::array();
    for (const Scores& s : g.scores) seeds.push_back(s.to_json());
    json.push_back({{"optimizer", g.optimizer},
                    {"samples", g.samples},
                    {"batch_norm", g.batch_norm},
                    {"seconds_per_epoch", g.seconds_per_epoch},
                    {"seeds", seeds}});
  }
  return json;
}

}  // namespace

void compare(Settings& s, const examples::Settings& list) {
  const std::vector<std::string> names = split_names(s.optimizers);
  const DataSets data = open_training_data(s);
  const ImagesPtr outside = open_outside(s.data.outside, data.train->channels());
  // Results of an earlier comparison must not be taken for those of this one when it is resumed.
  if (!s.common.resume) std::filesystem::remove_all(std::filesystem::path(s.common.out) / "runs");
  examples::RunLog log(s.common.out, s.common.resume);
  fmt::print("{}: {} training and {} test images; {} optimizers, {} seeds, {} epochs\n",
             s.data.folder, data.train->size(), data.test->size(), names.size(), s.common.seeds,
             s.training.epochs);
  Comparison comparison(s, list, data, outside, log);
  std::vector<examples::OptimizerSettings> chosen;
  for (const std::string& name : names) chosen.push_back(comparison.with_best_rate(name));
  if (!comparison.trials().empty()) fmt::print("\n{}\n", trial_table(comparison.trials()));

  std::vector<Result> results;
  for (int64_t i = 0; i < s.common.seeds; ++i) {
    for (const examples::OptimizerSettings& optimizer : chosen) {
      results.push_back(comparison.final_result(optimizer, s.common.seed + i));
    }
  }
  const std::vector<Group> groups = grouped(results);
  fmt::print("\n{}\n", comparison_table(groups));
  fmt::print("\n{}\n", refusal_table(results));
  examples::Json rates = examples::Json::object();
  for (const auto& optimizer : chosen) rates[optimizer.name] = optimizer.lr;
  examples::write_results(
      s.common.out,
      {{"settings", list.to_json()}, {"learning_rates", rates}, {"groups", to_json(groups)}});
  const bool drawn = draw_figures(results, s.common.out);
  fmt::print("results.json{} in {}\n",
             drawn ? ", curves.png, reliability.png and coverage.png" : "", s.common.out);
}

}  // namespace image_classification
