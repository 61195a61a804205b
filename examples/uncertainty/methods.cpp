// SPDX-License-Identifier: Apache-2.0
#include "methods.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <stdexcept>

#include "common/gnuplot.hpp"
#include "common/progress.hpp"
#include "predictors.hpp"

namespace uncertainty {
namespace {

// What all steps of one run need.
struct Run {
  std::vector<Method>& methods;
  const Context& c;
  const TestSet& test;
  int64_t seed;
};

Method& method_of(const Run& run, const std::string& key) {
  const auto found = std::find_if(run.methods.begin(), run.methods.end(),
                                  [&key](const Method& m) { return m.key == key; });
  if (found == run.methods.end()) throw std::logic_error("there is no method " + key);
  return *found;
}

void add_measures(const Run& run, const std::string& key, const Predictor& predict,
                  double training_seconds) {
  Method& method = method_of(run, key);
  const auto begin = std::chrono::steady_clock::now();
  method.seeds.push_back(measure(predict, run.test, method.sampled));
  method.seeds.back().seconds = training_seconds;
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin;
  fmt::print("{} seed {}: predicted {} conditions in {}\n", method.name, run.seed,
             run.test.conditions.size() + (run.test.clip_art.defined() ? 1 : 0),
             examples::duration(spent.count()));
}

void run_adamw(const Run& run) {
  const Network network = train_adamw(run.c, run.seed);
  const examples::CommonSettings& common = run.c.s.common;
  add_measures(run, "adamw", networks_predictor({network.model}, common.bf16), network.seconds);
  add_measures(run, "mc_dropout",
               mc_dropout_predictor(network.model, common.samples, run.seed, common.bf16),
               network.seconds);
}

void run_ensemble(const Run& run) {
  std::vector<examples::ConvNet> networks;
  double seconds = 0;
  for (int64_t member = 1; member <= run.c.s.members; ++member) {
    const Network network = train_member(run.c, member, run.seed);
    networks.push_back(network.model);
    seconds += network.seconds;
  }
  add_measures(run, "ensemble", networks_predictor(networks, run.c.s.common.bf16), seconds);
}

// The first seed's posterior of the optimizer with AdamW's numbers is "posterior.pt".
std::filesystem::path posterior_file(const Run& run, const NamedOptimizer& named) {
  const std::filesystem::path out = run.c.s.common.out;
  const bool is_main = named.prefix.empty() && run.seed == run.c.s.common.seed;
  return out / (is_main ? "posterior.pt" : fmt::format("posterior-{}-{}.pt", named.name, run.seed));
}

// `key` of the methods: <key>_mean and <key>_averaged.
void run_ivon(const Run& run, const NamedOptimizer& named, const std::string& key) {
  const Learned learned = train_ivon(run.c, named, run.seed, posterior_file(run, named));
  const examples::CommonSettings& common = run.c.s.common;
  const auto predictor = [&](int64_t samples) {
    return posterior_predictor(learned.posterior, learned.network.model, samples, run.seed,
                               common.bf16);
  };
  add_measures(run, key + "_mean", predictor(0), learned.network.seconds);
  add_measures(run, key + "_averaged", predictor(common.samples), learned.network.seconds);
}

}  // namespace

std::vector<Method> make_methods(const Settings& s) {
  const int64_t samples = s.common.samples;
  std::vector<Method> methods = {
      {"AdamW", "adamw", examples::kOrange, false},
      {"IVON at the mean", "ivon_mean", examples::kSky, false},
      {fmt::format("IVON, {} samples", samples), "ivon_averaged", examples::kBlue, true},
      {fmt::format("MC dropout, {} passes", samples), "mc_dropout", examples::kPurple, true},
      {fmt::format("{} networks, {} epochs each", s.members, s.member_epochs()), "ensemble",
       examples::kGrey, true}};
  if (s.training.paper) {
    methods.push_back({"paper's IVON at the mean", "ivon_paper_mean", "#E69F00", false});
    methods.push_back({fmt::format("paper's IVON, {} samples", samples), "ivon_paper_averaged",
                       examples::kGreen, true});
  }
  return methods;
}

void run_methods(std::vector<Method>& methods, const Context& c, const TestSet& test,
                 int64_t seed) {
  const Run run{methods, c, test, seed};
  run_adamw(run);
  run_ensemble(run);
  run_ivon(run, {c.s.training.ivon, "", "IVON"}, "ivon");
  if (c.s.training.paper)
    run_ivon(run, {c.s.training.ivon_paper, "paper-", "IVON-paper"}, "ivon_paper");
}

}  // namespace uncertainty
