// SPDX-License-Identifier: Apache-2.0
// WarmupCosineLR and WarmupLinearLR: values against Python's torch.optim.lr_scheduler
// (golden/metrics/schedulers.json), groups, save and load, errors.
#include "ivon/schedulers.hpp"

#include <gtest/gtest.h>
#include <torch/nn/modules/linear.h>
#include <torch/optim/adamw.h>
#include <torch/optim/sgd.h>
#include <torch/serialize.h>

#include <cmath>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "ivon/ivon.hpp"
#include "support.hpp"
#include "tolerances.hpp"

namespace {

using ivon::WarmupCosineLR;
using ivon::WarmupLinearLR;
using nlohmann::json;
using torch::optim::AdamW;
using torch::optim::AdamWOptions;
using torch::optim::OptimizerParamGroup;
using torch::optim::SGD;
using torch::optim::SGDOptions;

torch::Tensor parameter() { return torch::zeros({2}, torch::requires_grad()); }

OptimizerParamGroup sgd_group(double lr) {
  return {{parameter()}, std::make_unique<SGDOptions>(lr)};
}

std::vector<double> lrs_of(const torch::optim::Optimizer& optimizer) {
  std::vector<double> lrs;
  for (const auto& group : optimizer.param_groups()) lrs.push_back(group.options().get_lr());
  return lrs;
}

template <class Scheduler>
void expect_golden(const json& record, torch::optim::Optimizer& optimizer) {
  Scheduler scheduler(optimizer, record["warmup_steps"], record["total_steps"],
                      record["final_factor"]);
  const auto rows = record["lrs"].get<std::vector<std::vector<double>>>();
  for (size_t k = 0; k < rows.size(); ++k) {
    const std::vector<double> lrs = lrs_of(optimizer);
    ASSERT_EQ(lrs.size(), rows[k].size());
    for (size_t i = 0; i < lrs.size(); ++i) {
      EXPECT_NEAR(lrs[i], rows[k][i], ivon_test::tolerance::kSchedule * (1 + rows[k][i]))
          << record["decay"] << ", warm-up " << record["warmup_steps"] << ", k = " << k;
    }
    scheduler.step();
  }
}

TEST(Schedulers, AgreeWithPython) {
  std::ifstream in(IVON_TEST_GOLDEN_DIR "/metrics/schedulers.json");
  const json golden = json::parse(in);
  ASSERT_EQ(golden["cases"].size(), 8u);
  for (const json& record : golden["cases"]) {
    std::vector<OptimizerParamGroup> groups;
    for (const double lr : record["base_lrs"]) groups.push_back(sgd_group(lr));
    SGD optimizer(groups, SGDOptions(1));
    if (record["decay"] == "cosine") {
      expect_golden<WarmupCosineLR>(record, optimizer);
    } else {
      expect_golden<WarmupLinearLR>(record, optimizer);
    }
  }
}

TEST(Schedulers, FactorAtTheJoints) {
  AdamW optimizer({parameter()}, AdamWOptions(0.5));
  const WarmupCosineLR cosine(optimizer, 4, 12, 0.25);
  EXPECT_EQ(lrs_of(optimizer)[0], 0.125);  // the constructor has set the first rate
  EXPECT_EQ(cosine.factor(0), 0.25);
  EXPECT_EQ(cosine.factor(3), 1);
  EXPECT_EQ(cosine.factor(4), 1);
  EXPECT_NEAR(cosine.factor(8), 0.625, 1e-15);  // half-way down
  EXPECT_EQ(cosine.factor(12), 0.25);
  EXPECT_EQ(cosine.factor(1'000'000), 0.25);
  const WarmupLinearLR linear(optimizer, 0, 4, 0);
  EXPECT_EQ(linear.factor(0), 1);
  EXPECT_EQ(linear.factor(1), 0.75);
  EXPECT_EQ(linear.factor(4), 0);
  const WarmupLinearLR only_warmup(optimizer, 4, 4, 0.5);
  EXPECT_EQ(only_warmup.factor(3), 1);
  EXPECT_EQ(only_warmup.factor(4), 0.5);
}

TEST(Schedulers, AddedGroupIsScaledFromItsOwnRate) {
  SGD optimizer({sgd_group(1)}, SGDOptions(1));
  WarmupLinearLR scheduler(optimizer, 0, 4);
  scheduler.step();
  optimizer.add_param_group(sgd_group(8));
  EXPECT_EQ(lrs_of(optimizer), (std::vector<double>{0.75, 8}));
  scheduler.step();
  EXPECT_EQ(lrs_of(optimizer), (std::vector<double>{0.5, 4}));
  EXPECT_EQ(scheduler.base_lrs(), (std::vector<double>{1, 8}));
  EXPECT_EQ(scheduler.steps_taken(), 2);
}

TEST(Schedulers, GroupTakenAwayIsAnError) {
  SGD optimizer({sgd_group(1), sgd_group(2)}, SGDOptions(1));
  WarmupLinearLR scheduler(optimizer, 0, 4);
  optimizer.param_groups().pop_back();
  IVON_EXPECT_ERROR(scheduler.step(),
                    "ivon: a scheduled optimizer must keep its 2 parameter groups, got 1; build a "
                    "new scheduler after removing groups");
}

TEST(Schedulers, EmptyOptimizerMayGetGroupsLater) {
  SGD optimizer(std::vector<OptimizerParamGroup>{}, SGDOptions(1));
  WarmupCosineLR scheduler(optimizer, 2, 4);
  scheduler.step();
  optimizer.add_param_group(sgd_group(3));
  scheduler.step();
  EXPECT_EQ(lrs_of(optimizer), std::vector<double>{3});
}

// One group is added after the last step: the scheduler has not seen it when it is saved.
template <class Scheduler>
void expect_resume_continues() {
  SGD optimizer({sgd_group(1), sgd_group(0.3)}, SGDOptions(1));
  Scheduler scheduler(optimizer, 3, 11, 0.125);
  for (int k = 0; k < 5; ++k) scheduler.step();
  optimizer.add_param_group(sgd_group(7));
  std::stringstream file;
  torch::save(scheduler, file);

  // As after optimizer.load: the groups have the decayed rates when the scheduler is built.
  const std::vector<double> decayed = lrs_of(optimizer);
  SGD resumed({sgd_group(decayed[0]), sgd_group(decayed[1]), sgd_group(decayed[2])}, SGDOptions(1));
  Scheduler loaded(resumed, 3, 11, 0.125);
  EXPECT_NE(lrs_of(resumed), decayed);
  torch::load(loaded, file);
  EXPECT_EQ(loaded.steps_taken(), 5);
  for (int k = 0; k < 8; ++k) {
    EXPECT_EQ(lrs_of(resumed), lrs_of(optimizer)) << k;
    scheduler.step();
    loaded.step();
  }
  EXPECT_EQ(loaded.base_lrs(), scheduler.base_lrs());
}

TEST(Schedulers, ResumeEqualsUninterrupted) {
  expect_resume_continues<WarmupCosineLR>();
  expect_resume_continues<WarmupLinearLR>();
}

TEST(Schedulers, SharesAnArchiveWithModelAndOptimizer) {
  torch::nn::Linear model(2, 1);
  AdamW optimizer(model->parameters(), AdamWOptions(0.5));
  WarmupCosineLR scheduler(optimizer, 0, 10);
  scheduler.step();
  std::stringstream file;
  torch::serialize::OutputArchive out;
  model->save(out);
  optimizer.save(out);
  scheduler.save(out);
  out.save_to(file);

  AdamW other(model->parameters(), AdamWOptions(0.5));
  WarmupCosineLR loaded(other, 0, 10);
  torch::serialize::InputArchive in;
  in.load_from(file);
  loaded.load(in);
  EXPECT_EQ(lrs_of(other), lrs_of(optimizer));
}

// A training run of IVON under a schedule: 10 steps at once, or 4, a checkpoint of model, optimizer
// and scheduler in one archive, and 6 more in new objects.
struct ScheduledRun {
  torch::nn::Linear model{3, 1};
  ivon::IVON<> optimizer{model->parameters(), ivon::IVONOptions(0.5).ess(10)};
  WarmupCosineLR scheduler{optimizer, 2, 10};

  void train(int steps) {
    for (int i = 0; i < steps; ++i) {
      optimizer.zero_grad();
      {
        auto sample = optimizer.sampled_params();
        (model->forward(torch::eye(3)) - 1).square().mean().backward();
      }
      optimizer.step();
      scheduler.step();
    }
  }
};

TEST(Schedulers, IvonResumesBitForBit) {
  torch::manual_seed(ivon_test::kSeed);
  ScheduledRun whole;
  whole.train(4);
  std::stringstream file;
  torch::serialize::OutputArchive out;
  whole.model->save(out);
  whole.optimizer.save(out);
  whole.scheduler.save(out);
  out.save_to(file);
  whole.train(6);

  ScheduledRun resumed;
  torch::serialize::InputArchive in;
  in.load_from(file);
  resumed.model->load(in);
  resumed.optimizer.load(in);
  resumed.scheduler.load(in);
  resumed.train(6);
  EXPECT_TRUE(ivon_test::same_bits(resumed.model->weight, whole.model->weight));
  EXPECT_EQ(lrs_of(resumed.optimizer), lrs_of(whole.optimizer));
}

TEST(Schedulers, BadArgumentsChangeNothing) {
  SGD optimizer({sgd_group(1)}, SGDOptions(1));
  IVON_EXPECT_ERROR(WarmupCosineLR(optimizer, -1, 10),
                    "ivon: warmup_steps must be >= 0, got -1; 0 means no warm-up");
  IVON_EXPECT_ERROR(WarmupCosineLR(optimizer, 0, 0),
                    "ivon: total_steps must be >= 1, got 0; give the number of scheduler steps of "
                    "the whole training");
  IVON_EXPECT_ERROR(WarmupLinearLR(optimizer, 11, 10),
                    "ivon: total_steps must be >= warmup_steps (11), got 10; total_steps counts "
                    "the warm-up as well");
  for (const double factor : {-0.1, 1.5, std::nan("")}) {
    IVON_EXPECT_ERROR(WarmupLinearLR(optimizer, 1, 10, factor),
                      "ivon: final_factor must be in [0, 1], got ");
  }
  EXPECT_EQ(lrs_of(optimizer), std::vector<double>{1});
}

// Loads what `saved` holds into a WarmupCosineLR(optimizer, 2, 10) with two groups; the error.
std::string error_of_loading(std::stringstream& saved) {
  SGD optimizer({sgd_group(1), sgd_group(2)}, SGDOptions(1));
  WarmupCosineLR scheduler(optimizer, 2, 10);
  scheduler.step();
  const std::vector<double> before = lrs_of(optimizer);
  const std::string message = ivon_test::message_of([&] { torch::load(scheduler, saved); });
  EXPECT_EQ(lrs_of(optimizer), before);
  EXPECT_EQ(scheduler.steps_taken(), 1);
  EXPECT_EQ(scheduler.base_lrs(), (std::vector<double>{1, 2}));
  return message;
}

TEST(Schedulers, BadArchivesChangeNothing) {
  SGD optimizer({sgd_group(1), sgd_group(2)}, SGDOptions(1));
  std::stringstream linear, longer, one_group, foreign, damaged;
  torch::save(WarmupLinearLR(optimizer, 2, 10), linear);
  EXPECT_EQ(
      error_of_loading(linear),
      "ivon: a scheduler must be loaded into its own type, got WarmupLinearLR in the archive; "
      "build that one");
  torch::save(WarmupCosineLR(optimizer, 2, 20), longer);
  EXPECT_EQ(error_of_loading(longer),
            "ivon: a scheduler must be built as the saved one, which has warmup_steps 2, "
            "total_steps 20, final_factor 0, got 2, 10, 0; build it with the saved numbers");
  SGD single({sgd_group(1)}, SGDOptions(1));
  torch::save(WarmupCosineLR(single, 2, 10), one_group);
  EXPECT_EQ(error_of_loading(one_group),
            "ivon: the saved scheduler and the optimizer must have the same number of parameter "
            "groups, got 1 saved and 2; add the groups before loading");
  torch::save(optimizer, foreign);
  EXPECT_EQ(error_of_loading(foreign),
            "ivon: the archive must hold a warm-up scheduler, got one without the key "
            "'ivon_warmup_scheduler'; load what WarmupCosineLR or WarmupLinearLR saved");
  torch::serialize::OutputArchive out, nested(out.compilation_unit());
  nested.write("format", c10::IValue(int64_t{1}));
  out.write("ivon_warmup_scheduler", nested);
  out.save_to(damaged);
  EXPECT_EQ(error_of_loading(damaged),
            "ivon: a saved scheduler must have the key 'decay', got none; the file is damaged");
}

TEST(Schedulers, NewerFormatIsRefused) {
  std::stringstream file;
  torch::serialize::OutputArchive out, nested(out.compilation_unit());
  nested.write("format", c10::IValue(int64_t{2}));
  out.write("ivon_warmup_scheduler", nested);
  out.save_to(file);
  EXPECT_EQ(error_of_loading(file),
            "ivon: the scheduler's format must be 1, got 2; load it with the version of ivon that "
            "saved it");
}

}  // namespace
