// SPDX-License-Identifier: Apache-2.0
// Runs one task once and prints its result as one line of JSON. drop_in.py calls it for searches
// and comparisons.
#include <torch/utils.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>
#include <nlohmann/json.hpp>
#include <string>

#include "drop_in/contenders.hpp"
#include "drop_in/task.hpp"

namespace {

nlohmann::json to_json(const examples::Scores& scores) {
  return {{"accuracy", scores.accuracy}, {"nll", scores.nll}, {"ece", scores.ece}};
}

int run(int argc, char** argv) {
  CLI::App app("Trains one task of the drop-in benchmark and prints its result as JSON.");
  std::string name, setting = R"({"kind": "usual"})", data = "build/drop_in/data";
  uint64_t seed = 1;
  double length = 1;
  bool list = false;
  app.add_option("--task", name, "name of the task");
  app.add_option("--setting", setting, "the contender, as JSON")->capture_default_str();
  app.add_option("--seed", seed, "seed of everything random")->capture_default_str();
  app.add_option("--length", length, "1: the full form; less: a part of its steps")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  app.add_option("--data", data, "folder with text.txt and diamonds.csv")->capture_default_str();
  app.add_flag("--list", list, "print the tasks as JSON");
  CLI11_PARSE(app, argc, argv);

  if (list) {
    nlohmann::json all = nlohmann::json::array();
    for (const drop_in::Task& task : drop_in::tasks()) {
      all.push_back({{"name", task.name},
                     {"merit", task.merit},
                     {"higher_is_better", task.higher_is_better},
                     {"set_aside", task.set_aside},
                     {"seeds", task.seeds}});
    }
    std::printf("%s\n", all.dump().c_str());
    return 0;
  }
  for (const drop_in::Task& task : drop_in::tasks()) {
    if (task.name != name) continue;
    torch::set_num_threads(1);
    const auto contender = drop_in::make_contender(nlohmann::json::parse(setting), seed);
    const auto begin = std::chrono::steady_clock::now();
    const drop_in::Result result = task.train({*contender, seed, length, data});
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    nlohmann::json line = {
        {"task", name}, {"seed", seed}, {"length", length}, {"seconds", seconds.count()}};
    line["merit"] = std::isfinite(result.merit) ? nlohmann::json(result.merit) : nullptr;
    if (result.mean) line["mean"] = to_json(*result.mean);
    if (result.averaged) line["averaged"] = to_json(*result.averaged);
    std::printf("%s\n", line.dump().c_str());
    return 0;
  }
  std::fprintf(stderr, "drop_in: there is no task '%s'; --list shows them\n", name.c_str());
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "drop_in: %s\n", error.what());
    return 1;
  }
}
