// SPDX-License-Identifier: Apache-2.0
// The two figures of report.hpp: reliability.png and uncertainty.png.
#include <fmt/format.h>
#include <ivon/posterior/metrics.hpp>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "common/gnuplot.hpp"
#include "report.hpp"

namespace fashion_mnist {
namespace {

constexpr int64_t kBins = 15;
constexpr int64_t kEntropyBins = 23;   // over [0, ln 10] = [0, 2.303]: 0.1 nats each
constexpr int64_t kRejectionSteps = 60;
constexpr double kMostRejected = 0.6;

using Rows = std::vector<std::vector<double>>;

// The predictions of all seeds, one below the other.
struct Pooled {
  torch::Tensor probs;    // [n, 10]
  torch::Tensor targets;  // [n]
  torch::Tensor entropy;  // [n] nats
  torch::Tensor correct;  // [n] double, 0 or 1
};

Pooled pooled(const Method& method, const torch::Tensor& targets) {
  const torch::Tensor probs = torch::cat(method.probs);
  const torch::Tensor all = targets.repeat({static_cast<int64_t>(method.probs.size())});
  return {probs, all, -torch::xlogy(probs, probs).sum(1), (probs.argmax(1) == all).to(torch::kDouble)};
}

// Gnuplot addresses blocks by `index`; two empty lines end one.
void end_block(Rows& rows) { rows.insert(rows.end(), 2, {}); }

// Per bin that has examples: centre, accuracy, its binomial standard error, confidence, share.
void add_reliability(Rows& rows, const Pooled& p) {
  const ivon::ReliabilityBins bins = ivon::reliability_bins(p.probs, p.targets, kBins);
  const auto n = static_cast<double>(p.targets.size(0));
  for (int64_t i = 0; i < kBins; ++i) {
    const auto count = static_cast<double>(bins.count[i].item<int64_t>());
    if (count == 0) continue;
    const auto accuracy = bins.accuracy[i].item<double>();
    rows.push_back({(static_cast<double>(i) + 0.5) / kBins, accuracy,
                    std::sqrt(accuracy * (1 - accuracy) / count), bins.confidence[i].item<double>(),
                    count / n});
  }
  end_block(rows);
}

// Entropy's bin centre, and the share of the right and of the wrong predictions that fall in it.
void add_entropy(Rows& rows, const Pooled& p) {
  const double top = std::log(10.0);
  const torch::Tensor bin = (p.entropy / top * kEntropyBins).to(torch::kLong).clamp(0, kEntropyBins - 1);
  const torch::Tensor right = torch::bincount(bin, p.correct, kEntropyBins) / p.correct.sum();
  const torch::Tensor wrong = torch::bincount(bin, 1 - p.correct, kEntropyBins) / (1 - p.correct).sum();
  for (int64_t i = 0; i < kEntropyBins; ++i) {
    rows.push_back({(static_cast<double>(i) + 0.5) * top / kEntropyBins, right[i].item<double>(),
                    wrong[i].item<double>()});
  }
  end_block(rows);
}

// Fraction rejected (those of highest entropy first), accuracy among the others; both in percent.
void add_rejection(Rows& rows, const Pooled& p) {
  const torch::Tensor surest_first = p.correct.index_select(0, p.entropy.argsort());
  const torch::Tensor right = surest_first.cumsum(0);
  const auto n = static_cast<double>(right.size(0));
  for (int64_t i = 0; i <= kRejectionSteps; ++i) {
    const double rejected = kMostRejected * static_cast<double>(i) / kRejectionSteps;
    const auto kept = std::max(int64_t{1}, static_cast<int64_t>(std::lround((1 - rejected) * n)));
    rows.push_back({100 * rejected, 100 * right[kept - 1].item<double>() / static_cast<double>(kept)});
  }
  end_block(rows);
}

std::string reliability_script(const std::vector<Method>& methods) {
  std::string script =
      "set xrange [0:1]\nset xtics 0.2\nset boxwidth 1.0/15\nset style fill solid 0.85 border rgb 'white'\n"
      "set multiplot\n";
  const double width = 0.96 / static_cast<double>(methods.size());
  for (size_t i = 0; i < methods.size(); ++i) {
    const double left = 0.01 + width * static_cast<double>(i);
    const std::string margins = fmt::format("set lmargin at screen {:.4f}\nset rmargin at screen {:.4f}\n",
                                            left + 0.055, left + width - 0.005);
    double ece = 0;
    for (const Scores& s : methods[i].scores) ece += s.ece / static_cast<double>(methods[i].scores.size());
    script += margins;
    script += fmt::format(
        "set tmargin at screen 0.90\nset bmargin at screen 0.33\nset yrange [0:1]\nset ytics 0.2\n"
        "set format x ''\nunset xlabel\nset ylabel {} offset 0.5\n"
        "set title '{{/:Bold {}}}' offset 0,-0.3\n"
        "set label 1 'ECE {:.4f}' at graph 0.06,0.92 textcolor rgb '#222222' font ',13'\n"
        "plot 'reliability.dat' index {} using 1:2 with boxes lc rgb '{}', \\\n"
        "  '' index {} using 1:2:3 with yerrorbars pt 0 lw 1.2 lc rgb '#222222', \\\n"
        "  x with lines dt 2 lw 1.8 lc rgb '{}'\n"
        "unset label 1\nunset title\n",
        i == 0 ? "'accuracy in the bin'" : "''", methods[i].name, ece, i, methods[i].colour, i,
        examples::kGrey);
    script += fmt::format(
        "set tmargin at screen 0.29\nset bmargin at screen 0.13\nset yrange [0:1]\nset ytics 0,0.5,1\n"
        "set format x '%g'\nset xlabel 'confidence'\nset ylabel {} offset 0.5\n"
        "plot 'reliability.dat' index {} using 1:5 with boxes lc rgb '#9A9A9A'\n",
        i == 0 ? "'share'" : "''", i);
  }
  return script + "unset multiplot\n";
}

std::string entropy_panel(const Method& method, size_t index, bool top) {
  return fmt::format(
      "set tmargin at screen {}\nset bmargin at screen {}\n{}\n"
      "set label 1 '{{/:Bold {}}}' at graph 0.97,0.90 right textcolor rgb '#222222'\n"
      "plot 'entropy.dat' index {} using 1:(100*$2) with boxes fs solid 0.55 noborder lc rgb '{}' {}, \\\n"
      "  '' index {} using 1:(100*$3) with boxes fs solid 0.55 noborder lc rgb '{}' {}\n"
      "unset label 1\nunset title\n",
      top ? "0.89" : "0.49", top ? "0.53" : "0.13",
      top ? "set format x ''\nunset xlabel\nset title 'Entropy of right and of wrong predictions' offset 0,-0.3"
          : "set format x '%g'\nset xlabel 'predictive entropy (nats)'",
      method.name, index, examples::kGreen, top ? "title 'right'" : "notitle", index,
      examples::kOrange, top ? "title 'wrong'" : "notitle");
}

std::string uncertainty_script(const std::vector<Method>& methods) {
  std::string script =
      "set multiplot\nset boxwidth 0.092\nset xrange [0:2.303]\nset xtics 0.5\nset yrange [0:*]\n"
      "set lmargin at screen 0.075\nset rmargin at screen 0.50\nset ylabel '% of right / of wrong'\n"
      "set key at graph 0.97,0.76 right\n";
  script += entropy_panel(methods.front(), 0, true);
  script += entropy_panel(methods.back(), methods.size() - 1, false);
  script += fmt::format(
      "set lmargin at screen 0.595\nset rmargin at screen 0.985\nset tmargin at screen 0.89\n"
      "set bmargin at screen 0.13\nset xrange [0:{}]\nset yrange [*:100]\nset xtics 10\n"
      "set key bottom right\nset xlabel 'most uncertain predictions rejected (%)'\n"
      "set ylabel 'accuracy of the others (%)'\nset title 'Refusing to answer when unsure' offset 0,-0.3\n"
      "plot ",
      100 * kMostRejected);
  for (size_t i = 0; i < methods.size(); ++i) {
    script += fmt::format("{}'rejection.dat' index {} using 1:2 with lines lw 2.5 lc rgb '{}' title '{}'",
                          i == 0 ? "" : ", \\\n  ", i, methods[i].colour, methods[i].name);
  }
  return script + "\nunset multiplot\n";
}

}  // namespace

bool draw_figures(const std::vector<Method>& methods, const torch::Tensor& targets,
                  const Settings& settings) {
  Rows reliability, entropy, rejection;
  for (const Method& method : methods) {
    const Pooled p = pooled(method, targets);
    add_reliability(reliability, p);
    add_entropy(entropy, p);
    add_rejection(rejection, p);
  }
  const std::filesystem::path out = settings.out;
  examples::write_data(out / "reliability.dat", "bin accuracy error confidence share", reliability);
  examples::write_data(out / "entropy.dat", "entropy right wrong", entropy);
  examples::write_data(out / "rejection.dat", "rejected_percent accuracy_percent", rejection);
  const bool first = examples::draw(out, "reliability", 1200, 520, reliability_script(methods));
  const bool second = examples::draw(out, "uncertainty", 1200, 520, uncertainty_script(methods));
  return first && second;
}

}  // namespace fashion_mnist
