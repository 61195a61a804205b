// SPDX-License-Identifier: Apache-2.0
// Uncertainty: how well does a Fashion-MNIST classifier know what it does not know?
//
// Purpose  AdamW, IVON at the mean and averaged over samples, MC dropout and a deep ensemble of the
//          same training cost are scored on clean images, on corrupted ones, and on clip art, which
//          shows no clothes at all
// Data     Fashion-MNIST's four IDX files (Debian: dataset-fashion-mnist) and a folder of PNG files
//          (Debian: openclipart-png); --data and --clip-art name other folders
// Command  uncertainty              one seed, minutes on two cores
//          uncertainty --paper      trains with the paper's parametrisation as well
//          uncertainty --seeds 3    means and standard errors
//          uncertainty --smoke      seconds, on a few examples: only shows that everything runs
// Output   a table; corruptions.png, histograms.png, coverage.png (gnuplot), results.json and the
//          posterior, posterior.pt, in --out. The last lines of a real run stand in this folder's
//          README.
#include <fmt/format.h>
#include <torch/torch.h>

#include <string>
#include <vector>

#include "common/data/fashion_mnist.hpp"
#include "common/program.hpp"
#include "common/run_log.hpp"
#include "conditions.hpp"
#include "figures.hpp"
#include "methods.hpp"
#include "report.hpp"
#include "settings.hpp"
#include "training.hpp"

namespace uncertainty {
namespace {

void run(Settings& s, const examples::Settings& list) {
  const examples::FashionMnist data =
      examples::load_fashion_mnist(s.training.data, s.training.train_limit);
  s.training.complete(data.train.size());
  examples::RunLog log(s.common.out, s.common.resume);
  const TestSet test = make_test_set(data, s.clip_art, s.images, s.common.seed, log);
  fmt::print(
      "Fashion-MNIST: {} training images; {} conditions of {} test images; {} epochs, batch {}, "
      "dropout {}, {}, {}{} threads\n",
      data.train.size(), test.conditions.size(), test.targets.size(0), s.training.epochs,
      s.training.batch, s.dropout, s.common.device, s.common.bf16 ? "bfloat16, " : "",
      s.common.threads);
  if (s.member_epochs() * s.members != s.training.epochs) {
    fmt::print("The ensemble trains for {} epochs in all, because {} networks cannot share {}\n",
               s.member_epochs() * s.members, s.members, s.training.epochs);
  }

  const torch::Device device(s.common.device);
  const examples::InMemory train = data.train.to(device);
  const TestSet there = test.to(device);
  const Context context{s, list, train, log};
  std::vector<Method> methods = make_methods(s);
  for (int64_t i = 0; i < s.common.seeds; ++i) {
    run_methods(methods, context, there, s.common.seed + i);
  }

  fmt::print("\n{}\n", results_table(methods, test, s));
  write_json(methods, test, s, list.to_json());
  const bool drawn = draw_figures(methods, test, s.common.out);
  fmt::print("Written to {}: results.json, posterior.pt{}\n", s.common.out,
             drawn ? " and the figures" : "; the figures' data and scripts");
}

}  // namespace
}  // namespace uncertainty

int main(int argc, char** argv) {
  uncertainty::Settings s;
  return examples::run_program(
      argc, argv,
      {"uncertainty", "How well a Fashion-MNIST classifier knows what it does not know", s.common,
       /*without=*/{}, [&](examples::Settings& list) { uncertainty::add_settings(list, s); },
       [&] { uncertainty::make_smoke(s); },
       [&](const examples::Settings& list) { uncertainty::run(s, list); }});
}
