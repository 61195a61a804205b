// SPDX-License-Identifier: Apache-2.0
// The two figures of report.hpp: reliability.png and uncertainty.png.
#include "common/figures.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "common/gnuplot.hpp"
#include "report.hpp"

namespace fashion_mnist {
namespace {

constexpr int64_t kEntropyBins = 23;  // over [0, ln 10] = [0, 2.303]: 0.1 nats each
constexpr int64_t kRejectionSteps = 60;
constexpr double kMostRejected = 0.6;

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
  return {probs, all, -torch::xlogy(probs, probs).sum(1),
          (probs.argmax(1) == all).to(torch::kDouble)};
}

// Entropy's bin centre, and the share of the right and of the wrong predictions that fall in it.
void add_entropy(examples::FigureRows& rows, const Pooled& p) {
  const double top = std::log(10.0);
  const torch::Tensor bin =
      (p.entropy / top * kEntropyBins).to(torch::kLong).clamp(0, kEntropyBins - 1);
  const torch::Tensor right = torch::bincount(bin, p.correct, kEntropyBins) / p.correct.sum();
  const torch::Tensor wrong =
      torch::bincount(bin, 1 - p.correct, kEntropyBins) / (1 - p.correct).sum();
  for (int64_t i = 0; i < kEntropyBins; ++i) {
    rows.push_back({(static_cast<double>(i) + 0.5) * top / kEntropyBins, right[i].item<double>(),
                    wrong[i].item<double>()});
  }
  examples::end_block(rows);
}

// Fraction rejected (those of highest entropy first), accuracy among the others; both in percent.
void add_rejection(examples::FigureRows& rows, const Pooled& p) {
  const torch::Tensor surest_first = p.correct.index_select(0, p.entropy.argsort());
  const torch::Tensor right = surest_first.cumsum(0);
  const auto n = static_cast<double>(right.size(0));
  for (int64_t i = 0; i <= kRejectionSteps; ++i) {
    const double rejected = kMostRejected * static_cast<double>(i) / kRejectionSteps;
    const auto kept = std::max(int64_t{1}, static_cast<int64_t>(std::lround((1 - rejected) * n)));
    rows.push_back(
        {100 * rejected, 100 * right[kept - 1].item<double>() / static_cast<double>(kept)});
  }
  examples::end_block(rows);
}

// For the figure of common/figures.hpp.
examples::Predictions predictions(const Method& method, const Pooled& p) {
  double ece = 0;
  for (const examples::Scores& s : method.scores)
    ece += s.ece / static_cast<double>(method.scores.size());
  return {method.name, method.colour, p.probs, p.targets, ece};
}

// The right predictions' first bar is far higher than all others: cut off, and told as a number.
std::string entropy_panel(const Method& method, size_t index, bool top) {
  return fmt::format(
      "set tmargin at screen {tmargin}\nset bmargin at screen {bmargin}\n{axis}\n"
      "set label 1 '{{/:Bold {name}}}' at graph 0.97,0.88 right textcolor rgb '#222222'\n"
      "plot 'entropy.dat' index {index} using 1:(100*$2) with boxes fs solid 0.55 noborder lc rgb "
      "'{green}' {right}, \\\n"
      "  '' index {index} using 1:(100*$3) with boxes fs empty border lw 1.8 lc rgb '{orange}' "
      "{wrong}, \\\n"
      "  '' index {index} using (0.13):(26.5):(sprintf('up to %.0f %%', 100*$2)) every ::0::0 with "
      "labels left "
      "textcolor rgb '{green}'\n"
      "unset label 1\nunset title\n",
      fmt::arg("tmargin", top ? 0.89 : 0.49), fmt::arg("bmargin", top ? 0.53 : 0.13),
      fmt::arg("axis", top ? "set format x ''\nunset xlabel\nset title 'Entropy of right and of "
                             "wrong predictions' offset 0,-0.3"
                           : "set format x '%g'\nset xlabel 'predictive entropy (nats)'"),
      fmt::arg("name", method.name), fmt::arg("index", index), fmt::arg("green", examples::kGreen),
      fmt::arg("orange", examples::kOrange),
      fmt::arg("right", top ? "title 'right predictions'" : "notitle"),
      fmt::arg("wrong", top ? "title 'wrong predictions'" : "notitle"));
}

std::string uncertainty_script(const std::vector<Method>& methods) {
  std::string script =
      "set multiplot\nset boxwidth 0.092\nset xrange [0:2.303]\nset xtics 0.5\nset yrange "
      "[0:29]\nset ytics 10\n"
      "set lmargin at screen 0.075\nset rmargin at screen 0.50\nset ylabel '% of each'\n"
      "set key at graph 0.97,0.76 right\n";
  script += entropy_panel(methods.front(), 0, true);
  script += entropy_panel(methods.back(), methods.size() - 1, false);
  script += fmt::format(
      "set lmargin at screen 0.595\nset rmargin at screen 0.975\nset tmargin at screen 0.89\n"
      "set bmargin at screen 0.13\nset xrange [0:{}]\nset yrange [*:100]\nset xtics 10\n"
      "set ytics autofreq\nset key at graph 0.97,0.30 right\nset xlabel 'most uncertain "
      "predictions rejected (%)'\n"
      "set ylabel 'accuracy of the others (%)'\nset title 'Refusing to answer when unsure' offset "
      "0,-0.3\n"
      "plot ",
      100 * kMostRejected);
  for (size_t i = 0; i < methods.size(); ++i) {
    script +=
        fmt::format("{}'rejection.dat' index {} using 1:2 with lines lw 2.5 lc rgb '{}' title '{}'",
                    i == 0 ? "" : ", \\\n  ", i, methods[i].colour, methods[i].name);
  }
  return script + "\nunset multiplot\n";
}

}  // namespace

bool draw_figures(const std::vector<Method>& methods, const torch::Tensor& targets,
                  const std::filesystem::path& out) {
  std::vector<examples::Predictions> all;
  examples::FigureRows entropy, rejection;
  for (const Method& method : methods) {
    const Pooled p = pooled(method, targets);
    all.push_back(predictions(method, p));
    add_entropy(entropy, p);
    add_rejection(rejection, p);
  }
  examples::write_data(out / "entropy.dat", "entropy right wrong", entropy);
  examples::write_data(out / "rejection.dat", "rejected_percent accuracy_percent", rejection);
  const bool first = examples::draw_reliability(all, out, 1200);
  const bool second = examples::draw(out, "uncertainty", 1200, 520, uncertainty_script(methods));
  return first && second;
}

}  // namespace fashion_mnist
