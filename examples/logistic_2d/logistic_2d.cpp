// SPDX-License-Identifier: Apache-2.0
// Logistic regression with two weights: IVON's predictions beside the exact Bayesian ones.
//
// Purpose  with two weights the posterior can be integrated on a grid, so the right answer to "how
//          sure may one be at this point?" is known. IVON's answer, averaged over samples of the
//          weights, is compared with it all over the plane, and so is the plug-in prediction of the
//          single best weight vector.
// Data     60 made points of two overlapping classes; prior N(0, I) on the two weights, no bias
// Command  logistic_2d             seconds
//          logistic_2d --smoke     a few steps: only shows that everything runs
// Output   largest differences of probability, and logistic_2d.png (gnuplot) in --out.
//          The last lines of a real run stand in this folder's README.
#include <fmt/format.h>
#include <torch/torch.h>

#include <filesystem>
#include <string>
#include <vector>

#include "common/compiled_ivon.hpp"
#include "common/gnuplot.hpp"
#include "common/program.hpp"

namespace {

constexpr int64_t kExamples = 60;
constexpr double kPlane = 6;          // predictions are compared at |x1|, |x2| <= kPlane ...
constexpr int64_t kPlaneGrid = 121;   // ... on a grid of kPlaneGrid^2 points
constexpr double kWeights = 8;        // the quadrature covers |w1|, |w2| <= kWeights ...
constexpr int64_t kWeightGrid = 801;  // ... with kWeightGrid^2 points, 0.02 apart

struct Settings {
  examples::CommonSettings common;
  int64_t steps = 20'000;

  Settings() {
    common.out = "logistic_2d_results";
    common.samples = 2'000;  // weight samples of the prediction
    common.threads = 1;      // tensors this small gain nothing from more
  }
};

struct Data {
  torch::Tensor x;  // [n, 2] float64
  torch::Tensor y;  // [n] float64, 0 or 1
};

Data make_data() {
  const torch::Tensor y = torch::arange(kExamples).remainder(2).to(torch::kDouble);
  const torch::Tensor centre = torch::tensor({0.8, 0.3}, torch::kDouble);
  const torch::Tensor x =
      (2 * y - 1).unsqueeze(1) * centre + torch::randn({kExamples, 2}, torch::kDouble);
  return {x, y};
}

// All points of a square grid over |a|, |b| <= edge, [steps^2, 2], a slowest.
torch::Tensor square_grid(double edge, int64_t steps) {
  const torch::Tensor axis = torch::linspace(-edge, edge, steps, torch::kDouble);
  return torch::cartesian_prod({axis, axis});
}

// The exact posterior on the grid of weights [m, 2], normalised: [m].
torch::Tensor posterior_on_grid(const torch::Tensor& weights, const Data& data) {
  const torch::Tensor signed_x = (2 * data.y - 1).unsqueeze(1) * data.x;  // [n, 2]
  const torch::Tensor log_likelihood =
      torch::log_sigmoid(torch::matmul(weights, signed_x.t())).sum(1);  // [m]
  const torch::Tensor log_prior = -0.5 * weights.square().sum(1);
  return torch::softmax(log_likelihood + log_prior, 0);
}

// Probability of class 1 at points [p, 2], averaged over the posterior on the grid: [p].
torch::Tensor predict_exactly(const torch::Tensor& points, const torch::Tensor& weights,
                              const torch::Tensor& posterior) {
  // Grid points that hold less than 1e-12 of the mass add up to less than 1e-6.
  const torch::Tensor matter = posterior > 1e-12;
  const torch::Tensor w = weights.index({matter}), q = posterior.index({matter});
  std::vector<torch::Tensor> parts;
  for (const torch::Tensor& chunk : points.split(256)) {
    parts.push_back(torch::matmul(torch::sigmoid(torch::matmul(chunk, w.t())), q));
  }
  return torch::cat(parts);
}

void train(torch::nn::Linear& model, ivon::IVON<>& optimizer, const Data& data, int64_t steps) {
  ivon::WarmupCosineLR schedule(optimizer, /*warmup_steps=*/steps / 20, steps);
  for (int64_t step = 0; step < steps; ++step) {
    optimizer.zero_grad();
    {
      auto sample = optimizer.sampled_params();
      const torch::Tensor logits = model->forward(data.x).squeeze(1);
      torch::binary_cross_entropy_with_logits(logits, data.y).backward();
    }
    optimizer.step();
    schedule.step();
  }
}

// Probability of class 1 at points [p, 2], averaged over weight samples. ivon::predict takes one
// logit per class, so the missing one of class 0 is a zero.
torch::Tensor predict_with_ivon(torch::nn::Linear& model, ivon::IVON<>& optimizer,
                                const torch::Tensor& points, int64_t samples) {
  const auto forward = [&] {
    const torch::Tensor logit = model->forward(points);  // [p, 1]
    return torch::cat({torch::zeros_like(logit), logit}, 1);
  };
  return ivon::predict(optimizer, forward, samples).probs.select(1, 1);
}

double largest_difference(const torch::Tensor& a, const torch::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

bool draw(const std::filesystem::path& out, const Data& data, const torch::Tensor& points,
          const std::vector<torch::Tensor>& predictions, const std::vector<std::string>& titles) {
  std::vector<std::vector<double>> rows, classes;
  for (int64_t i = 0; i < points.size(0); ++i) {
    std::vector<double> row = {points[i][0].item<double>(), points[i][1].item<double>()};
    for (const torch::Tensor& p : predictions) row.push_back(p[i].item<double>());
    rows.push_back(row);
    if ((i + 1) % kPlaneGrid == 0) rows.push_back({});  // gnuplot: the end of a scan line
  }
  for (int64_t i = 0; i < kExamples; ++i) {
    classes.push_back(
        {data.x[i][0].item<double>(), data.x[i][1].item<double>(), data.y[i].item<double>()});
  }
  examples::write_data(out / "plane.dat", "x1 x2 p_exact p_ivon p_plug_in", rows);
  examples::write_data(out / "classes.dat", "x1 x2 class", classes);
  std::string script = fmt::format(
      "set xrange [-{0}:{0}]\nset yrange [-{0}:{0}]\nset xtics 3\nset ytics 3\nset cbrange [0:1]\n"
      "set palette defined (0 '{1}', 0.5 '#FFFFFF', 1 '{2}')\nset size ratio 1\nunset colorbox\n"
      "set cbtics 0.25\nset xlabel 'x_1'\nset view map\nset table 'contours.dat'\nset contour "
      "base\n"
      "unset surface\nset cntrparam levels discrete 0.05, 0.25, 0.5, 0.75, 0.95\n",
      kPlane, examples::kOrange, examples::kBlue);
  for (size_t i = 0; i < predictions.size(); ++i) {
    script += fmt::format(
        "set table 'contours-{0}.dat'\nsplot 'plane.dat' using 1:2:{1}\nunset table\n", i, i + 3);
  }
  script +=
      "unset contour\nset multiplot\nset tmargin at screen 0.88\nset bmargin at screen 0.15\n";
  for (size_t i = 0; i < predictions.size(); ++i) {
    const double left = 0.055 + 0.295 * static_cast<double>(i);
    script += fmt::format(
        "set lmargin at screen {:.3f}\nset rmargin at screen {:.3f}\nset title '{{/:Bold "
        "{}}}'\nset ylabel {}\n{}"
        "plot 'plane.dat' using 1:2:{} with image, 'contours-{}.dat' using 1:2 with lines lw 1 lc "
        "rgb '#555555', \\\n"
        "  'classes.dat' using 1:($3<0.5?$2:NaN) with points pt 7 ps 0.8 lc rgb '#8A3B00', \\\n"
        "  '' using 1:($3>0.5?$2:NaN) with points pt 5 ps 0.75 lc rgb '#003F66'\n",
        left, left + 0.265, titles[i], i == 0 ? "'x_2'" : "''",
        i + 1 == predictions.size()
            ? "set colorbox user origin screen 0.925,0.15 size screen 0.012,0.73\nset cblabel "
              "'probability of class 1' offset 0.5\n"
            : "",
        i + 3, i);
  }
  return examples::draw(out, "logistic_2d", 1320, 470, script + "unset multiplot\n");
}

void run(const Settings& settings) {
  torch::manual_seed(settings.common.seed);
  const Data data = make_data();

  const torch::Tensor weights = square_grid(kWeights, kWeightGrid);
  const torch::Tensor posterior = posterior_on_grid(weights, data);
  const torch::Tensor points = square_grid(kPlane, kPlaneGrid);
  const torch::Tensor exact = predict_exactly(points, weights, posterior);
  const torch::Tensor best = weights[posterior.argmax()];  // the most probable weights
  const torch::Tensor plug_in = torch::sigmoid(torch::matmul(points, best));

  torch::nn::Linear model(torch::nn::LinearOptions(2, 1).bias(false));
  model->to(torch::kDouble);
  ivon::IVON optimizer(model->parameters(), ivon::IVONOptions(/*lr=*/0.1)
                                                .ess(kExamples)
                                                .hess_init(1)
                                                .beta2(0.999)
                                                .weight_decay(1.0 / kExamples));  // prior N(0, I)
  train(model, optimizer, data, settings.steps);
  const torch::Tensor ours = predict_with_ivon(model, optimizer, points, settings.common.samples);

  const torch::Tensor mean = torch::matmul(posterior, weights);
  const torch::Tensor std = torch::matmul(posterior, (weights - mean).square()).sqrt();
  const torch::Tensor m = model->weight.detach().squeeze(0);
  const torch::Tensor s =
      (kExamples * (optimizer.param_state(model->weight).hess().squeeze(0) + 1.0 / kExamples))
          .rsqrt();
  fmt::print("weights, exact: {:.3f} ± {:.3f}, {:.3f} ± {:.3f}\n", mean[0].item<double>(),
             std[0].item<double>(), mean[1].item<double>(), std[1].item<double>());
  fmt::print("weights, IVON:  {:.3f} ± {:.3f}, {:.3f} ± {:.3f}\n", m[0].item<double>(),
             s[0].item<double>(), m[1].item<double>(), s[1].item<double>());
  fmt::print(
      "largest difference from the exact probability: IVON {:.3f}, best weights only {:.3f}\n",
      largest_difference(ours, exact), largest_difference(plug_in, exact));
  std::filesystem::create_directories(settings.common.out);
  if (draw(settings.common.out, data, points, {exact, ours, plug_in},
           {"Exact (quadrature)", "IVON, averaged", "Best weights only"})) {
    fmt::print("Written to {}: logistic_2d.png\n", settings.common.out);
  }
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  const auto add_settings = [&](examples::Settings& list) {
    list.add("steps", settings.steps, "training steps", examples::Effect::kTraining,
             CLI::Range(10, 10'000'000));
  };
  const auto smoke = [&] {
    settings.steps = 200;
    settings.common.samples = 50;
  };
  return examples::run_program(
      argc, argv,
      {"logistic_2d", "Two-weight logistic regression: IVON against the exact posterior",
       settings.common, /*without=*/{"seeds", "device", "bf16", "resume"}, add_settings, smoke,
       [&](const examples::Settings&) { run(settings); }});
}
