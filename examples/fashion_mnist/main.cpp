// SPDX-License-Identifier: Apache-2.0
// Fashion-MNIST with AdamW and with IVON: accuracy, likelihood and calibration side by side.
//
// Purpose  the same small convolutional network, the same batches, trained once with AdamW and once
//          with IVON; then AdamW's prediction, IVON's at the posterior mean, and IVON's averaged
//          over samples of the weights are scored on the test set.
// Data     Fashion-MNIST's four IDX files (Debian: dataset-fashion-mnist), --data for another
// folder Command  fashion_mnist              one seed, minutes on two cores
//          fashion_mnist --seeds 3    the table of the README
//          fashion_mnist --smoke      seconds, on a few examples: only shows that everything runs
// Output   a table; reliability.png, uncertainty.png (gnuplot) and results.json in --out.
//          The last lines of a real run stand in this folder's README.
#include <fmt/format.h>
#include <torch/torch.h>
#include <torch/version.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <ivon/ivon.hpp>
#include <string>
#include <vector>

#include "common/gnuplot.hpp"
#include "data.hpp"
#include "evaluate.hpp"
#include "network.hpp"
#include "report.hpp"
#include "settings.hpp"
#include "train.hpp"

namespace fashion_mnist {
namespace {

const CLI::Range kCount(1, 1'000'000);

// What keeps the device of that name from being used, empty if nothing does.
std::string check_device(const std::string& name) {
  if (name.rfind("cpu", 0) != 0 && name.rfind("cuda", 0) != 0) {
    return "must be cpu, cuda or cuda:<number>, got " + name;
  }
  try {
    const torch::Device device(name);
    const auto count = torch::cuda::device_count();
    if (device.is_cpu() || (device.has_index() ? device.index() : 0) < static_cast<int>(count)) {
      return "";
    }
    return fmt::format("there is no {}: LibTorch {} sees {} CUDA devices here", name, TORCH_VERSION,
                       count);
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  }
}

void add_options(CLI::App& app, Settings& s) {
  app.add_option("--data", s.data, "folder with the four IDX files, plain or .gz")
      ->capture_default_str();
  app.add_option("--out", s.out, "folder for figures, JSON and checkpoints")->capture_default_str();
  app.add_option("--epochs", s.epochs, "passes over the training set, each optimizer")
      ->capture_default_str()
      ->check(kCount);
  app.add_option("--batch", s.batch, "examples per step")->capture_default_str()->check(kCount);
  app.add_option("--seeds", s.seeds, "runs per optimizer, with seeds 1, 2, ...")
      ->capture_default_str()
      ->check(kCount);
  app.add_option("--lr", s.lr, "IVON: learning rate")->capture_default_str();
  app.add_option("--ess", s.ess, "IVON: effective sample size; 0 = number of training examples")
      ->capture_default_str();
  app.add_option("--hess-init", s.hess_init, "IVON: initial Hessian")->capture_default_str();
  app.add_option("--beta2", s.beta2, "IVON: decay of the Hessian's running average")
      ->capture_default_str();
  app.add_option("--weight-decay", s.weight_decay, "IVON: weight decay")->capture_default_str();
  app.add_option("--samples", s.samples, "IVON: weight samples averaged at test time")
      ->capture_default_str()
      ->check(kCount);
  app.add_flag("--sample-on-step", s.sample_on_step,
               "IVON: AdamW's training loop unchanged; the same figures");
  app.add_option("--adamw-lr", s.adamw_lr, "AdamW: learning rate")->capture_default_str();
  app.add_option("--adamw-weight-decay", s.adamw_weight_decay, "AdamW: weight decay")
      ->capture_default_str();
  app.add_option("--warmup", s.warmup,
                 "share of the steps with rising learning rate, before the cosine")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--device", s.device, "where to train: cpu, cuda, or cuda:1 for a second GPU")
      ->capture_default_str()
      ->check(CLI::Validator(check_device, "DEVICE"));
  app.add_flag("--bf16", s.bf16,
               "forward passes under autocast to bfloat16; weights and optimizers stay float32");
  app.add_option("--threads", s.threads, "CPU threads; 0 = LibTorch's choice")
      ->capture_default_str()
      ->check(CLI::Range(0, 1024));
  app.add_flag("--resume", s.resume,
               "go on from the checkpoints in --out, written after each epoch");
  app.add_flag("--smoke", s.smoke, "2 epochs on 2,000 examples, 4 samples: a test of the program");
}

ivon::IVONOptions ivon_options(const Settings& s) {
  return ivon::IVONOptions(s.lr)
      .ess(s.ess)
      .hess_init(s.hess_init)
      .beta2(s.beta2)
      .weight_decay(s.weight_decay)
      .sample_on_step(s.sample_on_step);
}

// Fills in what depends on other settings and on the data.
void complete(Settings& s, const Data& data) {
  if (s.ess == 0) s.ess = static_cast<double>(data.train.images.size(0));
  if (s.threads > 0) torch::set_num_threads(s.threads);
  s.threads = torch::get_num_threads();
}

Method method(const std::string& name, const std::string& key, const std::string& colour) {
  Method m;
  m.name = name;
  m.key = key;
  m.colour = colour;
  return m;
}

void run_adamw(Method& adamw, const Data& data, const Settings& settings, int64_t seed) {
  torch::manual_seed(seed);
  ConvNet model;
  model->to(settings.device);
  torch::optim::AdamW optimizer(
      model->parameters(),
      torch::optim::AdamWOptions(settings.adamw_lr).weight_decay(settings.adamw_weight_decay));
  adamw.seconds_per_epoch.push_back(
      train_plain("AdamW", model, optimizer, data.train, settings, seed));
  adamw.probs.push_back(predict(model, data.test.images, settings));
}

void run_ivon(Method& mean, Method& averaged, const Data& data, const Settings& settings,
              int64_t seed) {
  torch::manual_seed(seed);  // the same initial weights as AdamW's
  ConvNet model;
  model->to(settings.device);
  ivon::IVON optimizer(model->parameters(), ivon_options(settings));
  mean.seconds_per_epoch.push_back(
      settings.sample_on_step ? train_plain("IVON", model, optimizer, data.train, settings, seed)
                              : train_ivon(model, optimizer, data.train, settings, seed));
  optimizer.eval();  // the posterior mean, also after the loop without a scope
  averaged.seconds_per_epoch.push_back(mean.seconds_per_epoch.back());
  mean.probs.push_back(predict(model, data.test.images, settings));
  averaged.probs.push_back(predict_averaged(model, optimizer, data.test.images, settings));
}

void run(Settings settings) {
  if (settings.smoke) {
    settings.epochs = 2;
    settings.samples = 4;
    settings.train_limit = 2000;
    settings.test_limit = 1000;
    settings.ess = 60'000;  // of the whole set: 2,000 would drown 40 steps in noise
  }
  std::filesystem::create_directories(settings.out);
  const Data data = load(settings.data, settings.train_limit, settings.test_limit);
  complete(settings, data);
  // IVON refuses bad options: now, not after AdamW has trained for minutes.
  ivon::IVON<>(ConvNet()->parameters(), ivon_options(settings));
  fmt::print(
      "Fashion-MNIST: {} training and {} test images; {} epochs, batch {}, {}, {}{} threads\n",
      data.train.images.size(0), data.test.images.size(0), settings.epochs, settings.batch,
      settings.device, settings.bf16 ? "bfloat16, " : "", settings.threads);

  std::vector<Method> methods = {
      method("AdamW", "adamw", examples::kOrange),
      method("IVON at the mean", "ivon_mean", examples::kSky),
      method(fmt::format("IVON, {} samples", settings.samples), "ivon_averaged", examples::kBlue)};
  const Data there = data.to(settings.device);
  for (int64_t seed = 1; seed <= settings.seeds; ++seed) {
    run_adamw(methods[0], there, settings, seed);
    run_ivon(methods[1], methods[2], there, settings, seed);
    for (Method& m : methods) m.scores.push_back(score(m.probs.back(), data.test.targets));
  }

  fmt::print("\n{}\n{}\n", results_table(methods, settings), verdict(methods[2], methods[0]));
  write_json(methods, data.test.targets, settings);
  const bool drawn = draw_figures(methods, data.test.targets, settings);
  fmt::print("Written to {}: results.json{}\n", settings.out,
             drawn ? ", reliability.png, uncertainty.png" : "; the figures' data and scripts");
}

}  // namespace
}  // namespace fashion_mnist

int main(int argc, char** argv) {
  CLI::App app("Fashion-MNIST trained with AdamW and with IVON, side by side");
  fashion_mnist::Settings settings;
  fashion_mnist::add_options(app, settings);
  CLI11_PARSE(app, argc, argv);
  try {
    fashion_mnist::run(settings);
  } catch (const c10::Error& error) {
    fmt::print(stderr, "fashion_mnist: {}\n", error.what_without_backtrace());
    return 1;
  } catch (const std::exception& error) {
    fmt::print(stderr, "fashion_mnist: {}\n", error.what());
    return 1;
  }
  return 0;
}
