// SPDX-License-Identifier: Apache-2.0
#include "report.hpp"

#include <fmt/format.h>
#include <torch/version.h>

#include <cmath>
#include <functional>
#include <ivon/posterior/metrics.hpp>
#include <ivon/version.hpp>

#include "common/run_log.hpp"
#include "common/table.hpp"

namespace fashion_mnist {
namespace {

using examples::Json;

std::vector<double> column(const Method& method,
                           const std::function<double(const examples::Scores&)>& of) {
  std::vector<double> values;
  for (const examples::Scores& s : method.scores) values.push_back(of(s));
  return values;
}

struct Summary {
  examples::Estimate accuracy, nll, ece, seconds;  // accuracy in percent
};

Summary summary(const Method& m) {
  return {examples::estimate(column(m, [](const examples::Scores& s) { return 100 * s.accuracy; })),
          examples::estimate(column(m, [](const examples::Scores& s) { return s.nll; })),
          examples::estimate(column(m, [](const examples::Scores& s) { return s.ece; })),
          examples::estimate(m.seconds_per_epoch)};
}

// JSON has no NaN: the standard error of a single seed is null.
Json to_json(const examples::Estimate& e) {
  Json json = {{"mean", e.mean}, {"standard_error", nullptr}};
  if (!std::isnan(e.standard_error)) json["standard_error"] = e.standard_error;
  return json;
}

template <class T>
std::vector<T> to_vector(const torch::Tensor& t) {
  const torch::Tensor c = t.contiguous();
  return std::vector<T>(c.data_ptr<T>(), c.data_ptr<T>() + c.numel());
}

Json to_json(const ivon::ReliabilityBins& bins) {
  return {{"count", to_vector<int64_t>(bins.count)},
          {"confidence", to_vector<double>(bins.confidence)},
          {"accuracy", to_vector<double>(bins.accuracy)}};
}

Json to_json(const Method& method, const torch::Tensor& targets, int64_t first_seed) {
  Json json = {{"name", method.name}, {"seeds", Json::array()}};
  for (size_t i = 0; i < method.scores.size(); ++i) {
    const examples::Scores& s = method.scores[i];
    json["seeds"].push_back({{"seed", first_seed + static_cast<int64_t>(i)},
                             {"accuracy", s.accuracy},
                             {"nll", s.nll},
                             {"ece", s.ece},
                             {"seconds_per_epoch", method.seconds_per_epoch[i]}});
  }
  const Summary all = summary(method);
  json["accuracy_percent"] = to_json(all.accuracy);
  json["nll"] = to_json(all.nll);
  json["ece"] = to_json(all.ece);
  json["seconds_per_epoch"] = to_json(all.seconds);
  const auto seeds = static_cast<int64_t>(method.probs.size());
  json["reliability"] =
      to_json(ivon::reliability_bins(torch::cat(method.probs), targets.repeat({seeds})));
  return json;
}

}  // namespace

std::string results_table(const std::vector<Method>& methods, const Settings& settings) {
  std::vector<std::vector<std::string>> rows;
  for (const Method& m : methods) {
    const Summary s = summary(m);
    rows.push_back({m.name, examples::format_estimate(s.accuracy, 2),
                    examples::format_estimate(s.nll, 4), examples::format_estimate(s.ece, 4),
                    fmt::format("{:.1f}", s.seconds.mean)});
  }
  return fmt::format("Fashion-MNIST test set, {} epochs, {} seed{}\n", settings.training.epochs,
                     settings.common.seeds,
                     settings.common.seeds > 1 ? "s (mean ± standard error)" : "") +
         examples::format_table({"", "accuracy %", "NLL", "ECE", "s/epoch"}, rows);
}

std::string verdict(const Method& ours, const Method& base) {
  const Summary a = summary(ours), b = summary(base);
  return fmt::format("{} against {}: accuracy {:+.2f} points, NLL {:+.0f} %, ECE {:+.0f} %",
                     ours.name, base.name, a.accuracy.mean - b.accuracy.mean,
                     100 * (a.nll.mean / b.nll.mean - 1), 100 * (a.ece.mean / b.ece.mean - 1));
}

void write_json(const std::vector<Method>& methods, const torch::Tensor& targets,
                const Settings& settings, const Json& json) {
  Json results = {{"ivon", ivon::kVersion},
                  {"libtorch", TORCH_VERSION},
                  {"settings", json},
                  {"results", Json::object()}};
  for (const Method& m : methods) {
    results["results"][m.key] = to_json(m, targets, settings.common.seed);
  }
  examples::write_results(settings.common.out, results);
}

}  // namespace fashion_mnist
