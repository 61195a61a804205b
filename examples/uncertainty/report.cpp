// SPDX-License-Identifier: Apache-2.0
#include "report.hpp"

#include <fmt/format.h>
#include <torch/version.h>

#include <cmath>
#include <functional>
#include <ivon/version.hpp>
#include <optional>

#include "common/run_log.hpp"
#include "common/table.hpp"

namespace uncertainty {
namespace {

using examples::Json;

// A column of the table. `of` gives nothing where a method or a run has no such number.
struct Column {
  std::string title, key;
  int digits;
  std::function<std::optional<double>(const Measures&)> of;
};

template <class Value>
std::function<std::optional<double>(const Measures&)> detected(
    std::optional<Detection> Measures::*by, Value Detection::*value) {
  return [by, value](const Measures& m) {
    return m.*by ? std::optional<double>(*(m.*by).*value) : std::nullopt;
  };
}

const std::vector<Column>& columns() {
  using Number = std::optional<double>;
  const auto clean = [](const Measures& m) { return m.scores.front(); };
  const auto mean = [](const Measures& m) { return mean_over_corruptions(m.scores); };
  static const std::vector<Column> all = {
      {"acc. %", "clean_accuracy_percent", 2,
       [=](const Measures& m) -> Number { return 100 * clean(m).accuracy; }},
      {"NLL", "clean_nll", 4, [=](const Measures& m) -> Number { return clean(m).nll; }},
      {"ECE", "clean_ece", 4, [=](const Measures& m) -> Number { return clean(m).ece; }},
      {"acc.* %", "corrupted_accuracy_percent", 2,
       [=](const Measures& m) -> Number { return 100 * mean(m).accuracy; }},
      {"NLL*", "corrupted_nll", 4, [=](const Measures& m) -> Number { return mean(m).nll; }},
      {"ECE*", "corrupted_ece", 4, [=](const Measures& m) -> Number { return mean(m).ece; }},
      {"AUROC", "entropy_auroc", 4, detected(&Measures::by_entropy, &Detection::auroc)},
      {"AUPR", "entropy_aupr", 4, detected(&Measures::by_entropy, &Detection::aupr)},
      {"FPR95", "entropy_fpr95", 4, detected(&Measures::by_entropy, &Detection::fpr95)},
      {"AUROC MI", "information_auroc", 4, detected(&Measures::by_information, &Detection::auroc)},
      {"AURC", "aurc", 4, [](const Measures& m) -> Number { return m.aurc; }},
  };
  return all;
}

// Over the seeds; nothing where a seed has no number.
std::optional<examples::Estimate> estimate_of(const Method& method, const Column& column) {
  std::vector<double> values;
  for (const Measures& m : method.seeds) {
    const std::optional<double> value = column.of(m);
    if (!value) return {};
    values.push_back(*value);
  }
  return examples::estimate(values);
}

std::string table_of(const std::vector<Method>& methods, double examples::Estimate::*field) {
  std::vector<std::string> header = {""};
  for (const Column& column : columns()) header.push_back(column.title);
  std::vector<std::vector<std::string>> rows;
  for (const Method& method : methods) {
    rows.push_back({method.name});
    for (const Column& column : columns()) {
      const auto estimate = estimate_of(method, column);
      rows.back().push_back(estimate ? fmt::format("{:.{}f}", *estimate.*field, column.digits)
                                     : "-");
    }
  }
  return examples::format_table(header, rows);
}

Json to_json(const std::optional<Detection>& d) {
  if (!d) return nullptr;
  return {{"auroc", d->auroc}, {"aupr", d->aupr}, {"fpr95", d->fpr95}};
}

Json to_json(const Measures& m, const TestSet& test, int64_t seed) {
  Json json = {{"seed", seed},
               {"training_seconds", m.seconds},
               {"aurc", m.aurc},
               {"clip_art_by_entropy", to_json(m.by_entropy)},
               {"clip_art_by_mutual_information", to_json(m.by_information)},
               {"conditions", Json::array()}};
  for (size_t i = 0; i < m.scores.size(); ++i) {
    json["conditions"].push_back({{"corruption", test.conditions[i].corruption},
                                  {"level", test.conditions[i].level},
                                  {"accuracy", m.scores[i].accuracy},
                                  {"nll", m.scores[i].nll},
                                  {"ece", m.scores[i].ece}});
  }
  return json;
}

// JSON has no NaN: the standard error of a single seed is null.
Json to_json(const std::optional<examples::Estimate>& e) {
  if (!e) return nullptr;
  Json json = {{"mean", e->mean}, {"standard_error", nullptr}};
  if (!std::isnan(e->standard_error)) json["standard_error"] = e->standard_error;
  return json;
}

}  // namespace

std::string results_table(const std::vector<Method>& methods, const TestSet& test,
                          const Settings& s) {
  std::string text =
      fmt::format("Fashion-MNIST, {} test images, {} epochs, {} seed{}\n", test.targets.size(0),
                  s.training.epochs, s.common.seeds, s.common.seeds > 1 ? "s, means" : "");
  text += table_of(methods, &examples::Estimate::mean);
  if (s.common.seeds > 1) {
    text += "\nStandard errors of these means\n" +
            table_of(methods, &examples::Estimate::standard_error);
  }
  text += fmt::format("* mean over the {} corrupted conditions\n", test.conditions.size() - 1);
  if (test.clip_art.defined()) {
    text += fmt::format(
        "AUROC, AUPR, FPR95: {} pictures of clip art told from the clean images by entropy, AUROC "
        "MI by mutual information\n",
        test.clip_art.size(0));
  }
  return text +
         fmt::format("AURC: clean images and those with noise of {:g}, ranked by confidence\n",
                     test.middle().level);
}

void write_json(const std::vector<Method>& methods, const TestSet& test, const Settings& settings,
                const Json& json) {
  Json results = {{"ivon", ivon::kVersion},
                  {"libtorch", TORCH_VERSION},
                  {"settings", json},
                  {"clip_art_images", test.clip_art.defined() ? test.clip_art.size(0) : 0},
                  {"results", Json::object()}};
  for (const Method& method : methods) {
    Json& of = results["results"][method.key];
    of = {{"name", method.name}};
    for (const Column& column : columns()) of[column.key] = to_json(estimate_of(method, column));
    of["seeds"] = Json::array();
    for (size_t i = 0; i < method.seeds.size(); ++i) {
      of["seeds"].push_back(
          to_json(method.seeds[i], test, settings.common.seed + static_cast<int64_t>(i)));
    }
  }
  examples::write_results(settings.common.out, results);
}

}  // namespace uncertainty
