// SPDX-License-Identifier: Apache-2.0
#include "figures.hpp"

#include <fmt/format.h>
#include <torch/torch.h>

#include <string>

#include "common/figures.hpp"
#include "common/gnuplot.hpp"
#include "corruptions.hpp"

namespace uncertainty {
namespace {

constexpr int64_t kHistogramBins = 23;
constexpr double kMaxEntropy = 2.303;    // ln 10
constexpr double kMaxInformation = 0.7;  // nats; what is above falls into the last bin

using examples::end_block;
using Rows = examples::FigureRows;

examples::Scores mean_over_seeds(const Method& method, size_t condition) {
  examples::Scores mean;
  const auto n = static_cast<double>(method.seeds.size());
  for (const Measures& m : method.seeds) {
    mean.accuracy += m.scores[condition].accuracy / n;
    mean.nll += m.scores[condition].nll / n;
    mean.ece += m.scores[condition].ece / n;
  }
  return mean;
}

// A tensor of all seeds, one below the other.
template <class Get>
torch::Tensor pooled(const Method& method, const Get& get) {
  std::vector<torch::Tensor> parts;
  for (const Measures& m : method.seeds) parts.push_back(get(m));
  return torch::cat(parts);
}

// One block per corruption: level, then accuracy in percent, NLL and ECE of each method. The clean
// images are level 0.
Rows corruption_rows(const std::vector<Method>& methods, const TestSet& test) {
  Rows rows;
  for (const Corruption& corruption : corruptions()) {
    for (size_t i = 0; i < test.conditions.size(); ++i) {
      const std::string& name = test.conditions[i].corruption;
      if (name != "clean" && name != corruption.name) continue;
      rows.push_back({test.conditions[i].level});
      for (const Method& method : methods) {
        const examples::Scores s = mean_over_seeds(method, i);
        rows.back().insert(rows.back().end(), {100 * s.accuracy, s.nll, s.ece});
      }
    }
    end_block(rows);
  }
  return rows;
}

std::string corruptions_script(const std::vector<Method>& methods) {
  const std::vector<std::string> measures = {"accuracy (%)", "NLL (nats)", "ECE"};
  std::string script =
      fmt::format("set multiplot layout 3,{} margins 0.05,0.99,0.16,0.95 spacing 0.035,0.06\n",
                  corruptions().size());
  for (size_t measure = 0; measure < measures.size(); ++measure) {
    for (size_t c = 0; c < corruptions().size(); ++c) {
      const Corruption& corruption = corruptions()[c];
      const bool last_row = measure + 1 == measures.size();
      script += fmt::format(
          "set ylabel '{}'\nset title '{}'\nset xlabel '{}'\nset yrange [0:*]\nset key {}\nplot ",
          c == 0 ? measures[measure] : "", measure == 0 ? "{/:Bold " + corruption.name + "}" : "",
          last_row ? corruption.unit : "",
          last_row && c == 0 ? "at screen 0.5,0.055 center maxrows 2 width 1" : "off");
      for (size_t m = 0; m < methods.size(); ++m) {
        script += fmt::format(
            "{}'corruptions.dat' index {} using 1:{} with linespoints pt 7 ps 0.6 lw 2 lc rgb '{}' "
            "title \"{}\"",
            m == 0 ? "" : ", \\\n  ", c, 2 + 3 * m + measure, methods[m].colour, methods[m].name);
      }
      script += "\n";
    }
  }
  return script + "unset multiplot\n";
}

// Bin centre, and the share in percent of the clean images and of the clip art that fall in it.
void add_histogram(Rows& rows, const torch::Tensor& clean, const torch::Tensor& clip_art,
                   double top) {
  const auto shares = [top](const torch::Tensor& values) {
    const torch::Tensor bin =
        (values / top * kHistogramBins).to(torch::kLong).clamp(0, kHistogramBins - 1);
    return torch::bincount(bin, {}, kHistogramBins).to(torch::kDouble) * 100 /
           static_cast<double>(values.size(0));
  };
  const torch::Tensor of_clean = shares(clean), of_clip_art = shares(clip_art);
  for (int64_t i = 0; i < kHistogramBins; ++i) {
    rows.push_back({(static_cast<double>(i) + 0.5) * top / kHistogramBins,
                    of_clean[i].item<double>(), of_clip_art[i].item<double>()});
  }
  end_block(rows);
}

// Two blocks per method: entropy, mutual information.
Rows histogram_rows(const std::vector<Method>& methods) {
  Rows rows;
  for (const Method& method : methods) {
    add_histogram(rows, pooled(method, [](const Measures& m) { return m.entropy.clean; }),
                  pooled(method, [](const Measures& m) { return m.entropy.clip_art; }),
                  kMaxEntropy);
    add_histogram(rows,
                  pooled(method, [](const Measures& m) { return m.mutual_information.clean; }),
                  pooled(method, [](const Measures& m) { return m.mutual_information.clip_art; }),
                  kMaxInformation);
  }
  return rows;
}

std::string histogram_panel(const Method& method, size_t index, bool entropy, bool key) {
  const double top = entropy ? kMaxEntropy : kMaxInformation;
  return fmt::format(
      "set title \"{name}\"\nset xlabel '{what} (nats)'\nset xrange [0:{top}]\nset xtics {tic}\n"
      "set boxwidth {width}\nset key {key}\n"
      "plot 'histograms.dat' index {index} using 1:2 with boxes fs solid 0.55 noborder lc rgb "
      "'{green}' title 'clean images', \\\n"
      "  '' index {index} using 1:3 with boxes fs empty border lw 1.8 lc rgb '{orange}' title "
      "'clip "
      "art'\n",
      fmt::arg("name", entropy ? method.name : ""),
      fmt::arg("what", entropy ? "entropy" : "mutual information"), fmt::arg("top", top),
      fmt::arg("tic", entropy ? 0.5 : 0.2), fmt::arg("width", 0.92 * top / kHistogramBins),
      fmt::arg("key", key ? "top right" : "off"), fmt::arg("index", index),
      fmt::arg("green", examples::kGreen), fmt::arg("orange", examples::kOrange));
}

// The first bar of the clean images is far higher than all others and is cut off.
std::string histograms_script(const std::vector<Method>& methods) {
  std::string script = fmt::format(
      "set multiplot layout 2,{} margins 0.045,0.99,0.13,0.93 spacing 0.03,0.17\n"
      "set yrange [0:40]\nset ytics 10\n",
      methods.size());
  for (const bool entropy : {true, false}) {
    for (size_t m = 0; m < methods.size(); ++m) {
      script += m == 0 ? "set ylabel '% of each'\n" : "set ylabel ''\n";
      script +=
          entropy || methods[m].sampled
              ? histogram_panel(methods[m], 2 * m + (entropy ? 0 : 1), entropy, entropy && m == 0)
              : "set multiplot next\n";
    }
  }
  return script + "unset multiplot\n";
}

// One block per method: percent of the images that are answered, accuracy of these in percent.
Rows coverage_rows(const std::vector<Method>& methods) {
  Rows rows;
  for (const Method& method : methods) {
    examples::add_coverage(rows, pooled(method, [](const Measures& m) { return m.confidence; }),
                           pooled(method, [](const Measures& m) { return m.correct; }));
  }
  return rows;
}

std::string coverage_script(const std::vector<Method>& methods) {
  std::string script =
      "set xrange [20:100]\nset yrange [*:100]\nset key bottom left\n"
      "set xlabel 'images answered (%), the most confident first'\n"
      "set ylabel 'accuracy of the answers (%)'\nplot ";
  for (size_t m = 0; m < methods.size(); ++m) {
    script += fmt::format(
        "{}'coverage.dat' index {} using 1:2 with lines lw 2.5 lc rgb '{}' title \"{}\"",
        m == 0 ? "" : ", \\\n  ", m, methods[m].colour, methods[m].name);
  }
  return script + "\n";
}

}  // namespace

bool draw_figures(const std::vector<Method>& methods, const TestSet& test,
                  const std::filesystem::path& out) {
  examples::write_data(out / "corruptions.dat", "level, then accuracy_percent nll ece per method",
                       corruption_rows(methods, test));
  examples::write_data(out / "coverage.dat", "answered_percent accuracy_percent",
                       coverage_rows(methods));
  bool drawn = examples::draw(out, "corruptions", 1600, 900, corruptions_script(methods));
  drawn = examples::draw(out, "coverage", 800, 520, coverage_script(methods)) && drawn;
  if (test.clip_art.defined()) {
    examples::write_data(out / "histograms.dat", "nats clean_percent clip_art_percent",
                         histogram_rows(methods));
    const int width = 280 * static_cast<int>(methods.size());
    drawn = examples::draw(out, "histograms", width, 560, histograms_script(methods)) && drawn;
  }
  return drawn;
}

}  // namespace uncertainty
