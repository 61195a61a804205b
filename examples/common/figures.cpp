// SPDX-License-Identifier: Apache-2.0
#include "common/figures.hpp"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <ivon/posterior/metrics.hpp>

#include "common/gnuplot.hpp"

namespace examples {
namespace {

constexpr int64_t kReliabilityBins = 15;
constexpr double kFewestInBin = 20;  // bins with fewer examples are not drawn
constexpr int64_t kMaxCurvePoints = 200;
constexpr double kLeastCoverage = 0.2;

// Per bin with enough examples to say something: centre, accuracy, its binomial standard error,
// confidence, share.
void add_reliability(FigureRows& rows, const Predictions& p) {
  const ivon::ReliabilityBins bins = ivon::reliability_bins(p.probs, p.targets, kReliabilityBins);
  const auto n = static_cast<double>(p.targets.size(0));
  for (int64_t i = 0; i < kReliabilityBins; ++i) {
    const auto count = static_cast<double>(bins.count[i].item<int64_t>());
    if (count < kFewestInBin) continue;
    const auto accuracy = bins.accuracy[i].item<double>();
    rows.push_back({(static_cast<double>(i) + 0.5) / kReliabilityBins, accuracy,
                    std::sqrt(accuracy * (1 - accuracy) / count), bins.confidence[i].item<double>(),
                    count / n});
  }
  end_block(rows);
}

// One column of the figure: accuracy over confidence, and below it where the predictions lie.
// `left`, `right`: of the panels, as shares of the figure's width.
std::string reliability_column(const Predictions& method, size_t index, double left, double right) {
  return fmt::format(
      "set lmargin at screen {left:.4f}\nset rmargin at screen {right:.4f}\n"
      "set tmargin at screen 0.90\nset bmargin at screen 0.36\nunset logscale y\nset yrange [0:1]\n"
      "set ytics 0.2\nset format x ''\nset format y '%g'\nunset xlabel\nset ylabel {y1} offset "
      "0.5\n"
      "set title '{{/:Bold {name}}}' offset 0,-0.3\n"
      "set label 1 'ECE {ece:.4f}' at graph 0.06,0.90 textcolor rgb '#222222' font ',13'\n"
      "plot 'reliability.dat' index {index} using 1:2 with boxes lc rgb '{colour}', \\\n"
      "  '' index {index} using 1:($2-$3):(0):(2*$3) with vectors nohead lw 1.4 lc rgb '#222222', "
      "\\\n"
      "  x with lines dt 2 lw 1.8 lc rgb '{grey}'\n"
      "unset label 1\nunset title\n"
      "set tmargin at screen 0.31\nset bmargin at screen 0.13\nset logscale y\nset yrange "
      "[0.1:100]\n"
      "set ytics (0.1, 1, 10, 100)\nset format x '%g'\nset xlabel 'confidence'\n"
      "set ylabel {y2} offset 0.5\n"
      "plot 'reliability.dat' index {index} using 1:(100*$5) with boxes lc rgb '#9A9A9A'\n",
      fmt::arg("left", left), fmt::arg("right", right), fmt::arg("name", method.name),
      fmt::arg("ece", method.ece), fmt::arg("index", index), fmt::arg("colour", method.colour),
      fmt::arg("grey", kGrey), fmt::arg("y1", index == 0 ? "'accuracy in the bin'" : "''"),
      fmt::arg("y2", index == 0 ? "'share (%)'" : "''"));
}

std::string reliability_script(const std::vector<Predictions>& methods, int width) {
  std::string script =
      "set xrange [0:1]\nset xtics 0.2\nset boxwidth 1.0/15\nset samples 2\n"
      "set style fill solid 0.85 border rgb 'white'\nset multiplot\n";
  const double pixel = 1.0 / width;
  const double column = (1 - 48 * pixel) / static_cast<double>(methods.size());
  for (size_t i = 0; i < methods.size(); ++i) {
    const double left = 12 * pixel + column * static_cast<double>(i);
    script += reliability_column(methods[i], i, left + 66 * pixel, left + column - 6 * pixel);
  }
  return script + "unset multiplot\n";
}

}  // namespace

void end_block(FigureRows& rows) { rows.insert(rows.end(), 2, {}); }

bool draw_reliability(const std::vector<Predictions>& methods, const std::filesystem::path& out,
                      int width) {
  FigureRows rows;
  for (const Predictions& method : methods) add_reliability(rows, method);
  write_data(out / "reliability.dat", "bin accuracy error confidence share", rows);
  return draw(out, "reliability", width, 520, reliability_script(methods, width));
}

void add_coverage(FigureRows& rows, const torch::Tensor& confidence, const torch::Tensor& correct) {
  const ivon::RiskCoverageCurve curve = ivon::risk_coverage_curve(confidence, correct);
  const int64_t n = curve.coverage.size(0);
  const int64_t stride = std::max<int64_t>(1, n / kMaxCurvePoints);
  for (int64_t i = n - 1; i >= 0; i -= stride) {
    const auto coverage = curve.coverage[i].item<double>();
    if (coverage < kLeastCoverage) break;
    rows.push_back({100 * coverage, 100 * (1 - curve.risk[i].item<double>())});
  }
  end_block(rows);
}

}  // namespace examples
