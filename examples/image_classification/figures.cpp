// SPDX-License-Identifier: Apache-2.0
#include "figures.hpp"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <string>

#include "common/figures.hpp"
#include "common/gnuplot.hpp"
#include "curves.hpp"

namespace image_classification {
namespace {

// One way to predict: an optimizer's network at the mean or averaged over samples of its weights.
struct DrawnMethod {
  examples::Predictions predictions;  // of all seeds
  std::string optimizer;
  bool averaged = false;  // over samples
  int64_t seeds = 0;
};

void add_predictions(std::vector<DrawnMethod>& methods, const Result& result, const Predicted& p,
                     const std::string& title, const std::string& colour) {
  // No figure can show the predictions of a network that has diverged.
  if (!p.probs.isfinite().all().item<bool>()) return;
  auto method = std::find_if(methods.begin(), methods.end(), [&](const DrawnMethod& m) {
    return m.optimizer == result.optimizer && m.averaged == (p.samples > 0);
  });
  if (method == methods.end()) {
    const torch::Tensor none = torch::empty({0, p.probs.size(1)}, p.probs.options());
    methods.push_back({{title, colour, none, torch::empty({0}, torch::kLong)},
                       result.optimizer,
                       p.samples > 0,
                       0});
    method = methods.end() - 1;
  }
  examples::Predictions& all = method->predictions;
  all.probs = torch::cat({all.probs, p.probs});
  all.targets = torch::cat({all.targets, p.targets});
  const double ece = result.evaluation.row(p.samples, "as trained").scores.ece;
  all.ece += (ece - all.ece) / static_cast<double>(++method->seeds);
}

// The methods in the order of the table, with its titles.
std::vector<DrawnMethod> drawn_methods(const std::vector<Result>& results) {
  const auto colours = optimizer_colours(results);
  std::vector<DrawnMethod> methods;
  for (const Result& result : results) {
    const std::string& name = result.optimizer;
    const int64_t samples = result.evaluation.averaged.samples;
    if (samples == 0) {
      add_predictions(methods, result, result.evaluation.mean, name, colours.at(name));
      continue;
    }
    const char* mean_colour = name == "ivon" ? examples::kSky : examples::kGrey;
    add_predictions(methods, result, result.evaluation.mean, method_title(name, 0, true),
                    mean_colour);
    add_predictions(methods, result, result.evaluation.averaged, method_title(name, samples, true),
                    colours.at(name));
  }
  return methods;
}

// IVON's curves come last, so that they lie on top: at the mean, then averaged.
std::string coverage_script(const std::vector<DrawnMethod>& methods) {
  std::string script =
      "set xrange [20:100]\nset yrange [0:*]\nset key top left reverse Left\n"
      "set xlabel 'images answered (%), the most confident first'\n"
      "set ylabel 'wrong among the answers (%)'\n";
  std::string separator = "plot ";
  for (const bool ivon : {false, true}) {
    for (size_t i = 0; i < methods.size(); ++i) {
      const DrawnMethod& m = methods[i];
      if ((m.optimizer == "ivon") != ivon) continue;
      script += fmt::format(
          "{}'coverage.dat' index {} using 1:(100-$2) with lines lw {} lc rgb '{}' title '{}'",
          separator, i, ivon ? 3.5 : 2, m.predictions.colour, m.predictions.name);
      separator = ", \\\n  ";
    }
  }
  return script + "\n";
}

}  // namespace

bool draw_figures(const std::vector<Result>& results, const std::filesystem::path& out) {
  const std::vector<DrawnMethod> methods = drawn_methods(results);
  std::vector<examples::Predictions> predictions;
  examples::FigureRows coverage;
  for (const DrawnMethod& method : methods) {
    const examples::Predictions& p = method.predictions;
    predictions.push_back(p);
    const auto [confidence, classes] = p.probs.max(1);
    examples::add_coverage(coverage, confidence, classes == p.targets);
  }
  examples::write_data(out / "coverage.dat", "answered_percent accuracy_percent", coverage);
  bool drawn = draw_curves(results, out);
  if (methods.empty()) return drawn;
  const int width = std::max(600, 300 * static_cast<int>(methods.size()));
  drawn = examples::draw_reliability(predictions, out, width) && drawn;
  drawn = examples::draw(out, "coverage", 800, 520, coverage_script(methods)) && drawn;
  return drawn;
}

}  // namespace image_classification
