// SPDX-License-Identifier: Apache-2.0
// Regression with a gap in the data: the doubt about the function must open where nothing was seen,
// and the noise must be told apart from it.
//
// Purpose  a network with two outputs, the mean and the log variance of y given x, is trained with
//          IVON on points left and right of a gap. Averaging over samples of the weights splits the
//          predictive variance into noise, E[variance], and doubt, Var[mean].
// Data     1000 made points: y = sin(2 x) + noise, whose standard deviation grows with x, at x in
//          [-3, -1] and [1, 3]
// Command  regression_1d             seconds
//          regression_1d --smoke     a few steps: only shows that everything runs
// Output   doubt and noise on the data and in the gap, and regression_1d.png (gnuplot) in --out.
//          The last lines of a real run stand in this folder's README.
#include <fmt/format.h>
#include <torch/torch.h>

#include <cmath>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/compiled_ivon.hpp"
#include "common/gnuplot.hpp"
#include "common/program.hpp"

namespace {

constexpr int64_t kExamples = 1000;
constexpr double kGap = 1;         // no data at |x| < kGap
constexpr double kEdge = 3;        // nor at |x| > kEdge
constexpr double kPlotEdge = 4.5;  // the plot shows |x| <= kPlotEdge

struct Settings {
  examples::CommonSettings common;
  int64_t steps = 10'000;

  Settings() {
    common.out = "regression_1d_results";
    common.samples = 500;  // weight samples of the prediction
    common.threads = 1;    // tensors this small gain nothing from more
  }
};

struct Data {
  torch::Tensor x, y;  // [n, 1]
};

torch::Tensor true_mean(const torch::Tensor& x) { return torch::sin(2 * x); }
torch::Tensor true_noise(const torch::Tensor& x) { return 0.05 + 0.25 * torch::sigmoid(2 * x); }

Data make_data() {
  const torch::Tensor side = torch::randint(2, {kExamples, 1}).mul(2).sub(1).to(torch::kFloat);
  const torch::Tensor x = side * (kGap + (kEdge - kGap) * torch::rand({kExamples, 1}));
  return {x, true_mean(x) + true_noise(x) * torch::randn({kExamples, 1})};
}

// [n, 1] -> [n, 2]: mean and log variance of y. The first layer is fixed: 20 bumps along x. A bump
// without data near it gives its weights no gradient, so their posterior stays wide, and with it
// the prediction there. (Units that reach across the whole axis, such as tanh of a linear layer,
// are pinned by data elsewhere, and a posterior with independent weights then opens little.)
torch::nn::Sequential make_network() {
  constexpr int64_t kBumps = 20, kHidden = 20;
  constexpr double kWidth = 0.4;
  const torch::Tensor centres = torch::linspace(-kPlotEdge, kPlotEdge, kBumps);
  const auto bumps = [centres](const torch::Tensor& x) {
    return torch::exp(-((x - centres) / kWidth).square() / 2);
  };
  return torch::nn::Sequential(torch::nn::Functional(bumps), torch::nn::Linear(kBumps, kHidden),
                               torch::nn::Tanh(), torch::nn::Linear(kHidden, 2));
}

// Mean negative log-likelihood per example in nats, which is what IVON's loss has to be: a bare
// squared error would leave out the noise. outputs: [n, 2], y: [n, 1].
torch::Tensor gaussian_nll(const torch::Tensor& outputs, const torch::Tensor& y) {
  const double log_two_pi = std::log(2 * std::acos(-1.0));
  const torch::Tensor log_variance = outputs.slice(1, 1, 2);
  const torch::Tensor squares = (y - outputs.slice(1, 0, 1)).square();
  return 0.5 * (log_two_pi + log_variance + squares * torch::exp(-log_variance)).mean();
}

// Returns the mean loss of the last tenth of the steps.
double train(torch::nn::Sequential& network, ivon::IVON<>& optimizer, const Data& data,
             int64_t steps) {
  constexpr int64_t kBatch = 100;
  const int64_t last_tenth = steps - steps / 10;
  ivon::WarmupCosineLR schedule(optimizer, /*warmup_steps=*/steps / 20, steps);
  double loss_sum = 0;
  for (int64_t step = 0; step < steps; ++step) {
    const torch::Tensor rows = torch::randint(kExamples, {kBatch});
    const torch::Tensor x = data.x.index_select(0, rows), y = data.y.index_select(0, rows);
    optimizer.zero_grad();
    {
      auto sample = optimizer.sampled_params();
      const torch::Tensor loss = gaussian_nll(network->forward(x), y);
      loss.backward();
      if (step >= last_tenth) loss_sum += loss.item<double>();
    }
    optimizer.step();
    schedule.step();
  }
  return loss_sum / static_cast<double>(steps - last_tenth);
}

struct Prediction {
  torch::Tensor mean;   // [grid] mean over weight samples of the predicted mean
  torch::Tensor noise;  // [grid] standard deviation: root of the mean predicted variance
  torch::Tensor doubt;  // [grid] standard deviation of the predicted mean over weight samples
};

// The law of total variance over samples of the weights; x: [grid].
Prediction predict(torch::nn::Sequential& network, ivon::IVON<>& optimizer, const torch::Tensor& x,
                   int64_t samples) {
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> means, variances;
  for (int64_t s = 0; s < samples; ++s) {
    auto sample = optimizer.sampled_params();
    const torch::Tensor outputs = network->forward(x.unsqueeze(1));
    means.push_back(outputs.select(1, 0));
    variances.push_back(outputs.select(1, 1).exp());
  }
  const torch::Tensor all_means = torch::stack(means);
  return {all_means.mean(0), torch::stack(variances).mean(0).sqrt(), all_means.std(0)};
}

void report(const torch::Tensor& x, const Prediction& p, double loss) {
  const torch::Tensor on_data = (x.abs() > kGap) & (x.abs() < kEdge);
  const torch::Tensor in_gap = x.abs() < kGap;
  const auto mean = [](const torch::Tensor& values, const torch::Tensor& where) {
    return values.index({where}).mean().item<double>();
  };
  const double error = std::sqrt(mean((p.mean - true_mean(x)).square(), on_data));
  fmt::print("loss {:.3f} nats per example; error of the mean on the data {:.3f}\n", loss, error);
  fmt::print("noise on the data: predicted {:.3f}, true {:.3f}\n", mean(p.noise, on_data),
             mean(true_noise(x), on_data));
  const double doubt_data = mean(p.doubt, on_data), doubt_gap = mean(p.doubt, in_gap);
  fmt::print("doubt about the mean: on the data {:.3f}, in the gap {:.3f}, {:.1f} times as much\n",
             doubt_data, doubt_gap, doubt_gap / doubt_data);
}

bool draw(const std::filesystem::path& out, const Data& data, const torch::Tensor& x,
          const Prediction& p) {
  std::vector<std::vector<double>> points, curves;
  for (int64_t i = 0; i < kExamples; ++i) {
    points.push_back({data.x[i].item<double>(), data.y[i].item<double>()});
  }
  const torch::Tensor truth = true_mean(x);
  for (int64_t i = 0; i < x.size(0); ++i) {
    const auto doubt = p.doubt[i].item<double>(), noise = p.noise[i].item<double>();
    curves.push_back({x[i].item<double>(), p.mean[i].item<double>(), doubt,
                      std::sqrt(doubt * doubt + noise * noise), truth[i].item<double>()});
  }
  examples::write_data(out / "points.dat", "x y", points);
  examples::write_data(out / "curves.dat", "x mean doubt_std total_std truth", curves);
  const std::string script = fmt::format(
      "set xrange [-{0}:{0}]\nset yrange [-2.2:2.2]\nset xlabel 'x'\nset ylabel 'y'\n"
      "set style fill solid noborder\nset key outside top center horizontal Left reverse width 1 "
      "samplen 3\n"
      "set object 1 rect from -{1},graph 0 to {1},graph 1 fc rgb '#F4F4F4' fs solid noborder "
      "behind\n"
      "set label 1 'no data' at 0,-2.0 center textcolor rgb '#666666'\n"
      "band(s) = 2 * s\n"
      "plot 'curves.dat' using 1:($2-band($4)):($2+band($4)) with filledcurves lc rgb '#CFE5F3' "
      "title "
      "'noise and doubt (2 std)', \\\n"
      "  '' using 1:($2-band($3)):($2+band($3)) with filledcurves lc rgb '#8FC3E4' title "
      "'doubt about the mean (2 std)', \\\n"
      "  'points.dat' using 1:2 with points pt 7 ps 0.35 lc rgb '#80333333' title 'data', \\\n"
      "  'curves.dat' using 1:5 with lines dt 2 lw 2 lc rgb '{2}' title 'true mean', \\\n"
      "  '' using 1:2 with lines lw 2.5 lc rgb '{3}' title 'predicted mean'\n",
      kPlotEdge, kGap, examples::kOrange, examples::kBlue);
  return examples::draw(out, "regression_1d", 1000, 560, script);
}

void run(const Settings& settings) {
  if (settings.common.samples < 2) {
    throw std::invalid_argument("--samples must be at least 2, for a variance over samples");
  }
  torch::manual_seed(settings.common.seed);
  const Data data = make_data();
  torch::nn::Sequential network = make_network();
  ivon::IVON optimizer(network->parameters(), ivon::IVONOptions(/*lr=*/0.02)
                                                  .ess(kExamples)
                                                  .hess_init(5)
                                                  .beta2(0.999)
                                                  .weight_decay(1.0 / kExamples));  // prior N(0, 1)
  const double loss = train(network, optimizer, data, settings.steps);

  const torch::Tensor x = torch::linspace(-kPlotEdge, kPlotEdge, 181);
  const Prediction prediction = predict(network, optimizer, x, settings.common.samples);
  report(x, prediction, loss);
  std::filesystem::create_directories(settings.common.out);
  if (draw(settings.common.out, data, x, prediction)) {
    fmt::print("Written to {}: regression_1d.png\n", settings.common.out);
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
    settings.common.samples = 20;
  };
  return examples::run_program(
      argc, argv,
      {"regression_1d", "Heteroscedastic regression with a gap in the data, trained with IVON",
       settings.common, /*without=*/{"seeds", "device", "bf16", "resume"}, add_settings, smoke,
       [&](const examples::Settings&) { run(settings); }});
}
