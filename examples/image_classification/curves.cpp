// SPDX-License-Identifier: Apache-2.0
#include "curves.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <limits>

#include "common/figures.hpp"
#include "common/gnuplot.hpp"
#include "common/run_log.hpp"

namespace image_classification {
namespace {

constexpr const char* kOtherColours[] = {examples::kOrange, examples::kGreen, examples::kPurple,
                                         examples::kAmber,  examples::kBlack, examples::kGrey};

double number_or_nan(const examples::Json& line, const char* key) {
  const auto found = line.find(key);
  const bool is_number = found != line.end() && found->is_number();
  return is_number ? found->get<double>() : std::numeric_limits<double>::quiet_NaN();
}

// All trainings of one optimizer: blocks of curves.dat.
struct OptimizerCurves {
  std::string optimizer, colour;
  size_t first_block = 0;  // the mean over the seeds; the blocks of the seeds follow
  size_t seeds = 0;
};

struct Curves {
  std::vector<OptimizerCurves> optimizers;
  examples::FigureRows rows;  // step, seconds, loss, accuracy in percent
  size_t blocks = 0;
  double seconds = 0;  // of the longest training
  bool has_accuracy = false;

  void add_block(const std::vector<CurvePoint>& curve) {
    for (const CurvePoint& p : curve) {
      rows.push_back({p.step, p.seconds, p.loss, 100 * p.accuracy});
      seconds = std::max(seconds, p.seconds);
      has_accuracy = has_accuracy || std::isfinite(p.accuracy);
    }
    examples::end_block(rows);
    ++blocks;
  }
};

// The mean over the seeds at each step that all of them have logged.
std::vector<CurvePoint> mean_curve(const std::vector<std::vector<CurvePoint>>& seeds) {
  struct Sum {
    CurvePoint point;
    size_t count = 0;
  };
  std::map<double, Sum> sums;
  for (const auto& seed : seeds) {
    for (const CurvePoint& p : seed) {
      Sum& sum = sums[p.step];
      sum.point.seconds += p.seconds;
      sum.point.loss += p.loss;
      sum.point.accuracy += p.accuracy;
      ++sum.count;
    }
  }
  std::vector<CurvePoint> mean;
  for (const auto& [step, sum] : sums) {
    if (sum.count != seeds.size()) continue;
    const auto n = static_cast<double>(sum.count);
    mean.push_back({step, sum.point.seconds / n, sum.point.loss / n, sum.point.accuracy / n});
  }
  return mean;
}

Curves read_curves(const std::vector<Result>& results, const std::filesystem::path& log) {
  Curves curves;
  const auto colours = optimizer_colours(results);
  for (const std::string& optimizer : drawing_order(results)) {
    std::vector<std::vector<CurvePoint>> seeds;
    for (const Result& result : results) {
      if (result.optimizer != optimizer) continue;
      seeds.push_back(read_curve(log, result));
      if (seeds.back().empty()) seeds.pop_back();
    }
    if (seeds.empty()) continue;
    curves.optimizers.push_back({optimizer, colours.at(optimizer), curves.blocks, seeds.size()});
    curves.add_block(mean_curve(seeds));
    for (const auto& seed : seeds) curves.add_block(seed);
  }
  return curves;
}

// One panel: `x` is gnuplot's expression of the horizontal axis, `column` the vertical one's.
std::string curves_panel(const Curves& curves, const std::string& x, int column) {
  std::string plot, separator = "plot ";
  for (const OptimizerCurves& o : curves.optimizers) {
    for (size_t seed = 1; seed <= o.seeds && o.seeds > 1; ++seed) {
      plot += fmt::format("{}'curves.dat' index {} using {}:{} with lines lw 1 lc rgb '#A0{}'",
                          separator, o.first_block + seed, x, column, o.colour.substr(1));
      separator = ", \\\n  ";
    }
  }
  for (const OptimizerCurves& o : curves.optimizers) {
    const bool ivon = o.optimizer == "ivon";
    plot += fmt::format(
        "{}'curves.dat' index {} using {}:{} with linespoints pt 7 ps {} lw {} lc rgb '{}' title "
        "'{}'",
        separator, o.first_block, x, column, ivon ? 0.7 : 0.5, ivon ? 3.5 : 2, o.colour,
        o.optimizer);
    separator = ", \\\n  ";
  }
  return plot + "\n";
}

struct TimeUnit {
  const char* name;
  double seconds;
};

TimeUnit unit_for(double seconds) {
  if (seconds > 3 * 3600) return {"hours", 3600};
  if (seconds > 300) return {"minutes", 60};
  return {"seconds", 1};
}

std::string curves_script(const Curves& curves) {
  const TimeUnit unit = unit_for(curves.seconds);
  const std::string time = fmt::format("($2/{})", unit.seconds);
  // A logarithmic axis keeps the small losses of the end apart.
  std::string script = fmt::format(
      "set multiplot layout {},2 margins 0.075,0.985,{},0.97 spacing 0.085,0.09\n"
      "set key at screen 0.5,screen {} center maxrows 1 samplen 3\n"
      "set logscale y\nset xrange [0:*]\nset ylabel 'training loss of the epoch (nats)'\n"
      "set xlabel 'training steps'\n",
      curves.has_accuracy ? 2 : 1, curves.has_accuracy ? 0.13 : 0.25,
      curves.has_accuracy ? 0.035 : 0.07);
  script += curves_panel(curves, "1", 3);
  script += fmt::format("set key off\nset xlabel 'training time ({})'\n", unit.name);
  script += curves_panel(curves, time, 3);
  if (curves.has_accuracy) {
    script +=
        "unset logscale y\nset ylabel 'test accuracy (%), one set of weights'\n"
        "set xlabel 'training steps'\n";
    script += curves_panel(curves, "1", 4);
    script += fmt::format("set xlabel 'training time ({})'\n", unit.name);
    script += curves_panel(curves, time, 4);
  }
  return script + "unset multiplot\n";
}

}  // namespace

std::vector<std::string> drawing_order(const std::vector<Result>& results) {
  std::vector<std::string> names;
  for (const Result& result : results) {
    if (std::find(names.begin(), names.end(), result.optimizer) == names.end()) {
      names.push_back(result.optimizer);
    }
  }
  std::stable_partition(names.begin(), names.end(),
                        [](const std::string& name) { return name != "ivon"; });
  return names;
}

std::map<std::string, std::string> optimizer_colours(const std::vector<Result>& results) {
  std::map<std::string, std::string> colours = {{"ivon", examples::kBlue}};
  for (const std::string& name : drawing_order(results)) {
    colours.emplace(name, kOtherColours[(colours.size() - 1) % std::size(kOtherColours)]);
  }
  return colours;
}

std::vector<CurvePoint> read_curve(const std::filesystem::path& log, const Result& result) {
  const std::string run = run_name(result.optimizer, result.lr, "final");
  std::map<int64_t, CurvePoint> last_of_epoch;
  std::ifstream in(log);
  for (std::string text; std::getline(in, text);) {
    const examples::Json line = examples::Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!line.is_object() || line.value("run", "") != run ||
        line.value("seed", int64_t{0}) != result.seed) {
      continue;
    }
    const CurvePoint point = {number_or_nan(line, "step"), number_or_nan(line, "seconds"),
                              number_or_nan(line, "loss"), number_or_nan(line, "test_accuracy")};
    CurvePoint& last = last_of_epoch[line.value("epoch", int64_t{0})];
    if (point.step >= last.step) last = point;
  }
  std::vector<CurvePoint> curve;
  for (const auto& [epoch, point] : last_of_epoch) curve.push_back(point);
  return curve;
}

bool draw_curves(const std::vector<Result>& results, const std::filesystem::path& out) {
  const Curves curves = read_curves(results, out / "log.jsonl");
  if (curves.optimizers.empty()) {
    fmt::print(stderr,
               "{}: has no line of the trainings that are compared, so curves.png was not drawn; "
               "without --resume the trainings write it anew\n",
               (out / "log.jsonl").string());
    return false;
  }
  examples::write_data(out / "curves.dat", "step seconds loss test_accuracy_percent", curves.rows);
  return examples::draw(out, "curves", 1200, curves.has_accuracy ? 820 : 440,
                        curves_script(curves));
}

}  // namespace image_classification
