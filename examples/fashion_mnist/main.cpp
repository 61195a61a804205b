// SPDX-License-Identifier: Apache-2.0
// Fashion-MNIST with AdamW and with IVON: accuracy, likelihood and calibration side by side.
//
// Purpose  the same small convolutional network, the same batches, trained once with AdamW and once
//          with IVON and AdamW's numbers; then AdamW's prediction, IVON's at the posterior mean,
//          and IVON's averaged over samples of the weights are scored on the test set.
// Data     Fashion-MNIST's four IDX files (Debian: dataset-fashion-mnist); --data names another
//          folder
// Command  fashion_mnist              one seed, minutes on two cores
//          fashion_mnist --paper      trains with the paper's parametrisation as well
//          fashion_mnist --paper --seeds 3    the table of the README
//          fashion_mnist --smoke      seconds, on a few examples: only shows that everything runs
// Output   a table; reliability.png, uncertainty.png (gnuplot) and results.json in --out.
//          The last lines of a real run stand in this folder's README.
#include <fmt/format.h>
#include <torch/torch.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "common/classification.hpp"
#include "common/compiled_ivon.hpp"
#include "common/data/fashion_mnist.hpp"
#include "common/gnuplot.hpp"
#include "common/models/conv_net.hpp"
#include "common/models/fashion_training.hpp"
#include "common/program.hpp"
#include "common/run_log.hpp"
#include "common/training.hpp"
#include "report.hpp"
#include "settings.hpp"

namespace fashion_mnist {
namespace {

// What the runs of one program share.
struct Context {
  const Settings& s;
  const examples::Settings& list;
  const examples::FashionMnist& data;  // on the training device
  examples::RunLog& log;
};

// The settings of an optimizer as the command line names them.
struct Named {
  const examples::OptimizerSettings& settings;
  std::string prefix;
};

examples::TrainingPlan make_plan(const Context& c, const std::string& name, int64_t seed,
                                 const std::string& own_prefix) {
  examples::TrainingPlan plan = examples::fashion_plan(c.s.common, c.list, c.s.training,
                                                       c.data.train.size(), c.log, own_prefix);
  plan.name = name;
  plan.seed = seed;
  return plan;
}

void run_adamw(Method& adamw, const Context& c, int64_t seed) {
  examples::ConvNet model = examples::fashion_network(c.s.common.device, seed);
  const auto optimizer = examples::make_optimizer(c.s.training.adamw, model->parameters());
  const auto plan = make_plan(c, "AdamW", seed, "adamw-");
  const auto end =
      examples::train(*model, *optimizer, plan,
                      examples::plain_step(model, *optimizer, c.data.train, c.s.common.bf16));
  adamw.seconds_per_epoch.push_back(end.seconds / static_cast<double>(c.s.training.epochs));
  const auto forward = [&](const torch::Tensor& x) { return logits(model, x, c.s.common.bf16); };
  adamw.probs.push_back(examples::predict(forward, c.data.test.inputs));
}

void run_ivon(Method& mean, Method& averaged, const Context& c, const Named& named,
              const std::string& name, int64_t seed) {
  examples::ConvNet model = examples::fashion_network(c.s.common.device, seed);
  const auto made = examples::make_optimizer(named.settings, model->parameters());
  ivon::IVON<>& optimizer = *examples::as_ivon(*made);
  const auto plan = make_plan(c, name, seed, named.prefix);
  const bool bf16 = c.s.common.bf16;
  const auto end = examples::train(*model, optimizer, plan,
                                   named.settings.sample_on_step
                                       ? examples::plain_step(model, optimizer, c.data.train, bf16)
                                       : examples::ivon_step(model, optimizer, c.data.train, bf16));
  optimizer.eval();  // the posterior mean, also after the step without a scope
  const auto forward = [&](const torch::Tensor& x) { return logits(model, x, bf16); };
  for (Method* m : {&mean, &averaged}) {
    m->seconds_per_epoch.push_back(end.seconds / static_cast<double>(c.s.training.epochs));
  }
  mean.probs.push_back(examples::predict(forward, c.data.test.inputs));
  averaged.probs.push_back(
      examples::predict_averaged(optimizer, forward, c.data.test.inputs, c.s.common.samples));
}

void run(Settings& s, const examples::Settings& list) {
  const examples::FashionMnist data =
      examples::load_fashion_mnist(s.training.data, s.training.train_limit, s.test_limit);
  s.training.complete(data.train.size());
  examples::RunLog log(s.common.out, s.common.resume);
  fmt::print(
      "Fashion-MNIST: {} training and {} test images; {} epochs, batch {}, {}, {}{} threads\n",
      data.train.size(), data.test.size(), s.training.epochs, s.training.batch, s.common.device,
      s.common.bf16 ? "bfloat16, " : "", s.common.threads);

  std::vector<Method> methods = {
      Method("AdamW", "adamw", examples::kOrange),
      Method("IVON at the mean", "ivon_mean", examples::kSky),
      Method(fmt::format("IVON, {} samples", s.common.samples), "ivon_averaged", examples::kBlue)};
  if (s.training.paper) {
    methods.emplace_back("paper's IVON at the mean", "ivon_paper_mean", examples::kGreen);
    methods.emplace_back(fmt::format("paper's IVON, {} samples", s.common.samples),
                         "ivon_paper_averaged", examples::kPurple);
  }
  const examples::FashionMnist there = data.to(torch::Device(s.common.device));
  const Context context{s, list, there, log};
  for (int64_t i = 0; i < s.common.seeds; ++i) {
    run_adamw(methods[0], context, s.common.seed + i);
    run_ivon(methods[1], methods[2], context, {s.training.ivon, ""}, "IVON", s.common.seed + i);
    if (s.training.paper) {
      run_ivon(methods[3], methods[4], context, {s.training.ivon_paper, "paper-"}, "IVON-paper",
               s.common.seed + i);
    }
    for (Method& m : methods) {
      m.scores.push_back(examples::score(m.probs.back(), data.test.targets));
    }
  }

  fmt::print("\n{}\n{}\n", results_table(methods, s), verdict(methods[2], methods[0]));
  write_json(methods, data.test.targets, s, list.to_json());
  const bool drawn = draw_figures(methods, data.test.targets, s.common.out);
  fmt::print("Written to {}: results.json{}\n", s.common.out,
             drawn ? ", reliability.png, uncertainty.png" : "; the figures' data and scripts");
}

}  // namespace
}  // namespace fashion_mnist

int main(int argc, char** argv) {
  fashion_mnist::Settings s;
  return examples::run_program(
      argc, argv,
      {"fashion_mnist", "Fashion-MNIST trained with AdamW and with IVON, side by side", s.common,
       /*without=*/{}, [&](examples::Settings& list) { fashion_mnist::add_settings(list, s); },
       [&] { fashion_mnist::make_smoke(s); },
       [&](const examples::Settings& list) { fashion_mnist::run(s, list); }});
}
