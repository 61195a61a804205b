// SPDX-License-Identifier: Apache-2.0
// How the time of each call grows with the number of parameter tensors, for IVON and
// torch::optim::AdamW. The tensors have ten elements each, so nearly all of the time is what the
// optimizers do per tensor. Prints one Markdown table, microseconds per tensor: a column that stays
// level is linear.
#include <torch/torch.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <ivon/ivon.hpp>
#include <limits>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace {

using Groups = std::vector<torch::optim::OptimizerParamGroup>;

constexpr const char* kCalls[] = {"construct", "first step", "step", "train()",
                                  "state",     "mean",       "save", "load"};
constexpr size_t kCallCount = std::size(kCalls);
constexpr double kNotThere = std::numeric_limits<double>::quiet_NaN();

struct Row {
  double microseconds[kCallCount];  // per tensor; least of the repetitions
  Row() { std::fill(std::begin(microseconds), std::end(microseconds), kNotThere); }

  template <class Call>
  void time(const char* name, int64_t tensors, const Call& call) {
    const auto begin = std::chrono::steady_clock::now();
    call();
    const std::chrono::duration<double, std::micro> taken =
        std::chrono::steady_clock::now() - begin;
    const auto which = std::find_if(std::begin(kCalls), std::end(kCalls),
                                    [&](const char* each) { return std::string(each) == name; }) -
                       std::begin(kCalls);
    double& least = microseconds[which];
    const double value = taken.count() / static_cast<double>(tensors);
    if (!(least <= value)) least = value;
  }
};

std::vector<torch::Tensor> make_parameters(int64_t tensors) {
  std::vector<torch::Tensor> parameters;
  parameters.reserve(static_cast<size_t>(tensors));
  for (int64_t i = 0; i < tensors; ++i) {
    parameters.push_back(torch::randn({10}).requires_grad_());
  }
  return parameters;
}

Groups in_groups(const std::vector<torch::Tensor>& parameters, bool one_group_each) {
  Groups groups;
  if (!one_group_each) {
    groups.emplace_back(parameters);
    return groups;
  }
  for (const auto& parameter : parameters) {
    groups.emplace_back(std::vector<torch::Tensor>{parameter});
  }
  return groups;
}

// What zero_grad() and a backward pass leave: new tensors.
void write_gradients(const std::vector<torch::Tensor>& parameters) {
  for (const auto& parameter : parameters) parameter.mutable_grad() = torch::full({10}, 0.1);
}

template <class Optimizer>
void time_archive(Row& row, int64_t tensors, Optimizer& optimizer) {
  std::stringstream file;
  row.time("save", tensors, [&] {
    torch::serialize::OutputArchive archive;
    optimizer.save(archive);
    archive.save_to(file);
  });
  row.time("load", tensors, [&] {
    torch::serialize::InputArchive archive;
    archive.load_from(file);
    optimizer.load(archive);
  });
}

void time_adamw(Row& row, int64_t tensors, bool one_group_each, bool archives) {
  const auto parameters = make_parameters(tensors);
  const Groups groups = in_groups(parameters, one_group_each);
  std::unique_ptr<torch::optim::AdamW> optimizer;
  row.time("construct", tensors, [&] {
    optimizer = std::make_unique<torch::optim::AdamW>(groups, torch::optim::AdamWOptions(1e-3));
  });
  for (int i = 0; i < 4; ++i) {
    write_gradients(parameters);
    row.time(i == 0 ? "first step" : "step", tensors, [&] { optimizer->step(); });
  }
  if (archives) time_archive(row, tensors, *optimizer);
}

void time_ivon(Row& row, int64_t tensors, bool one_group_each, bool on_step) {
  const auto parameters = make_parameters(tensors);
  const Groups groups = in_groups(parameters, one_group_each);
  std::unique_ptr<ivon::IVON<>> optimizer;
  row.time("construct", tensors, [&] {
    optimizer = std::make_unique<ivon::IVON<>>(
        groups, ivon::IVONOptions(0.1).ess(1000).sample_on_step(on_step));
  });
  for (int i = 0; i < 4; ++i) {
    const char* const name = i == 0 ? "first step" : "step";
    if (on_step) {
      write_gradients(parameters);
      row.time(name, tensors, [&] { optimizer->step(); });
    } else {
      Row scope;  // the gradients are not part of the optimizer's time
      std::unique_ptr<ivon::SampledParams> sample;
      scope.time(name, tensors, [&] {
        sample = std::make_unique<ivon::SampledParams>(optimizer->sampled_params());
      });
      write_gradients(parameters);
      Row rest;
      rest.time(name, tensors, [&] {
        sample->restore();
        optimizer->step();
      });
      const size_t which = i == 0 ? 1 : 2;
      const double value = scope.microseconds[which] + rest.microseconds[which];
      if (!(row.microseconds[which] <= value)) row.microseconds[which] = value;
    }
  }
  row.time("train()", tensors, [&] {
    optimizer->eval();
    optimizer->train();
  });
  row.time("state", tensors, [&] {
    for (const auto& parameter : parameters) (void)optimizer->param_state(parameter).step();
  });
  row.time("mean", tensors, [&] {
    for (const auto& parameter : parameters) (void)optimizer->mean(parameter);
  });
  time_archive(row, tensors, *optimizer);
}

void print(const char* name, int64_t tensors, bool one_group_each, const Row& row) {
  std::printf("| %s | %lld | %s |", name, static_cast<long long>(tensors),
              one_group_each ? "one per tensor" : "one");
  for (const double value : row.microseconds) {
    if (value >= 0) {
      std::printf(" %.2f |", value);
    } else {
      std::printf(" |");
    }
  }
  std::printf("\n");
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"How the time of each call grows with the number of parameter tensors"};
  std::vector<int64_t> counts = {100, 1000, 10'000, 100'000};
  int64_t largest_adamw_archive = 10'000;
  int repetitions = 3;
  app.add_option("--tensors", counts, "numbers of tensors")->delimiter(',');
  app.add_option("--largest-adamw-archive", largest_adamw_archive,
                 "AdamW saves and loads up to so many tensors: its time grows with their square");
  app.add_option("--repetitions", repetitions, "the least of so many is printed");
  CLI11_PARSE(app, argc, argv);
  torch::set_num_threads(1);

  std::printf("| optimizer | tensors | groups |");
  for (const char* call : kCalls) std::printf(" %s |", call);
  std::printf("\n|---|---|---|");
  for (size_t i = 0; i < kCallCount; ++i) std::printf("---|");
  std::printf("\n");
  for (const bool one_group_each : {false, true}) {
    for (const int64_t tensors : counts) {
      const bool archives = tensors <= largest_adamw_archive;
      Row adamw, ivon_standard, ivon_on_step;
      for (int i = 0; i < repetitions; ++i) {
        time_adamw(adamw, tensors, one_group_each, archives);
        time_ivon(ivon_standard, tensors, one_group_each, /*on_step=*/false);
        time_ivon(ivon_on_step, tensors, one_group_each, /*on_step=*/true);
      }
      print("torch AdamW", tensors, one_group_each, adamw);
      print("IVON", tensors, one_group_each, ivon_standard);
      print("IVON, sample_on_step", tensors, one_group_each, ivon_on_step);
    }
  }
}
