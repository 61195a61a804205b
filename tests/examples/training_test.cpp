// SPDX-License-Identifier: Apache-2.0
// The training loop: a resumed run equals the uninterrupted one bit for bit, and signals stop it
// between two steps.
#include "common/training.hpp"

#include <signal.h>
#include <sys/wait.h>

#include <fstream>

#include "common/interrupt.hpp"
#include "common/weight_average.hpp"
#include "small.hpp"

namespace {

using examples::Json;
using examples_test::Folder;
using examples_test::Small;

std::vector<Json> log_lines(const std::filesystem::path& folder) {
  std::vector<Json> lines;
  std::ifstream in(folder / "log.jsonl");
  for (std::string line; std::getline(in, line);) lines.push_back(Json::parse(line));
  return lines;
}

// The values that the loop always had; results made with them stand in the READMEs.
TEST(Training, OrderDependsOnSeedAndEpochOnly) {
  const auto order = examples::data_order(100, 1, 0);
  torch::rand({5});
  EXPECT_TRUE(torch::equal(order, examples::data_order(100, 1, 0)));
  EXPECT_FALSE(torch::equal(order, examples::data_order(100, 1, 1)));
  EXPECT_FALSE(torch::equal(order, examples::data_order(100, 2, 0)));
  EXPECT_TRUE(torch::equal(std::get<0>(order.sort()), torch::arange(100)));
  torch::manual_seed(1'000'000);
  EXPECT_TRUE(torch::equal(order, torch::randperm(100)));
}

class Resume : public testing::TestWithParam<std::string> {};

// Stops after `steps` steps by SIGTERM, resumes in new objects, and compares with one run.
void expect_resumes(const std::string& optimizer, int64_t steps) {
  SCOPED_TRACE(testing::Message() << optimizer << " stopped after " << steps << " steps");
  const Folder whole_folder("whole"), folder("stopped");
  Small whole(optimizer, whole_folder.path);
  examples::RunLog whole_log(whole_folder.path, false);
  whole.plan.log = &whole_log;
  const auto expected = whole.train();

  Small first(optimizer, folder.path);
  first.before_step = [&](int64_t done) {
    if (done == steps - 1) raise(SIGTERM);
  };
  try {
    first.train();
    ADD_FAILURE() << "was not interrupted";
  } catch (const examples::Interrupted& interrupted) {
    EXPECT_EQ(interrupted.signal(), SIGTERM);
  }
  EXPECT_EQ(static_cast<int64_t>(first.losses.size()), steps);

  Small second(optimizer, folder.path);
  examples::RunLog log(folder.path, true);
  second.plan.log = &log;
  second.plan.resume = true;
  torch::rand({17});  // whatever the program drew before it loads the checkpoint
  const auto actual = second.train();

  std::vector<double> losses = first.losses;
  losses.insert(losses.end(), second.losses.begin(), second.losses.end());
  EXPECT_EQ(losses, whole.losses);
  EXPECT_EQ(actual.last_loss, expected.last_loss);
  EXPECT_TRUE(torch::equal(second.weights(), whole.weights()));
  // The mean loss shown at each epoch's end covers the steps before the interruption as well.
  const auto shown = log_lines(folder.path), all = log_lines(whole_folder.path);
  ASSERT_LE(shown.size(), all.size());
  for (size_t i = 1; i <= shown.size(); ++i) {
    EXPECT_EQ(shown[shown.size() - i]["loss"], all[all.size() - i]["loss"]);
    EXPECT_EQ(shown[shown.size() - i]["lr"], all[all.size() - i]["lr"]);
    EXPECT_EQ(shown[shown.size() - i]["step"], all[all.size() - i]["step"]);
  }
}

TEST_P(Resume, InTheMiddleOfAnEpochEqualsTheUninterruptedRun) { expect_resumes(GetParam(), 9); }
TEST_P(Resume, AtTheEndOfAnEpochEqualsTheUninterruptedRun) { expect_resumes(GetParam(), 6); }
TEST_P(Resume, AfterTheFirstStepEqualsTheUninterruptedRun) { expect_resumes(GetParam(), 1); }
TEST_P(Resume, AfterTheLastStepEqualsTheUninterruptedRun) { expect_resumes(GetParam(), 18); }

INSTANTIATE_TEST_SUITE_P(Optimizers, Resume,
                         testing::Values("ivon", "ivon_on_step", "adamw", "sgd"),
                         [](const auto& parameter) { return parameter.param; });

TEST(Training, KilledRunGoesOnFromTheLastInterval) {
  const Folder whole_folder("whole"), folder("killed");
  Small whole("ivon", whole_folder.path);
  whole.train();
  Small killed("ivon", folder.path);
  killed.plan.checkpoint_seconds = 0;  // after every step
  struct Killed {};
  killed.before_step = [](int64_t done) {
    if (done == 8) throw Killed();
  };
  EXPECT_THROW(killed.train(), Killed);
  Small resumed("ivon", folder.path);
  resumed.plan.resume = true;
  resumed.train();
  EXPECT_EQ(resumed.losses.size(), 10U);
  EXPECT_TRUE(torch::equal(resumed.weights(), whole.weights()));
}

TEST(Training, SignalHandlersAreRestored) {
  const Folder folder("handlers");
  Small small("sgd", folder.path);
  small.train();
  struct sigaction now = {};
  sigaction(SIGTERM, nullptr, &now);
  EXPECT_EQ(now.sa_handler, SIG_DFL);
}

TEST(Training, SecondSignalEndsTheProgram) {
  const pid_t child = fork();
  if (child == 0) {
    const examples::SignalScope signals;
    raise(SIGINT);
    if (signals.received() != SIGINT) _exit(1);
    raise(SIGINT);
    _exit(2);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
}

TEST(Training, FreshRunIgnoresTheCheckpoint) {
  const Folder folder("fresh");
  Small first("sgd", folder.path), second("sgd", folder.path);
  first.train();
  torch::manual_seed(3);
  second.train();
  EXPECT_EQ(second.losses.size(), 18U);
}

TEST(Training, LogHoldsOneLineForEachEpoch) {
  const Folder folder("log");
  Small small("adamw", folder.path);
  examples::RunLog log(folder.path, false);
  small.plan.log = &log;
  const auto end = small.train();
  const auto lines = log_lines(folder.path);
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[2]["step"], 18);
  EXPECT_EQ(lines[2]["loss"].get<double>(), end.last_loss);
}

TEST(Training, BeginEpochGetsTheRowsThatAreStillToCome) {
  const Folder folder("begin_epoch");
  std::vector<torch::Tensor> begun;
  const auto remember = [&](Small& small) {
    small.plan.begin_epoch = [&](int64_t epoch, const torch::Tensor& rows) {
      EXPECT_EQ(epoch, static_cast<int64_t>(begun.size()) % 3);
      begun.push_back(rows.clone());
    };
  };
  Small small("sgd", folder.path);
  small.plan.checkpoint_seconds = 0;
  remember(small);
  struct Killed {};
  small.before_step = [](int64_t done) {
    if (done == 2) throw Killed();
  };
  EXPECT_THROW(small.train(), Killed);
  ASSERT_EQ(begun.size(), 1U);
  begun.clear();
  Small resumed("sgd", folder.path);
  resumed.plan.resume = true;
  remember(resumed);
  resumed.train();
  ASSERT_EQ(begun.size(), 3U);
  const auto order = examples::data_order(Small::kExamples, 1, 0);
  EXPECT_TRUE(torch::equal(begun[0], order.slice(0, 8)));
  EXPECT_EQ(begun[1].size(0), Small::kExamples);
}

TEST(Training, MeasuresAreAddedToTheLogAndTheirTimeDoesNotCount) {
  const Folder folder("measure");
  Small small("adamw", folder.path);
  examples::RunLog log(folder.path, false);
  small.plan.log = &log;
  small.plan.measure = [&](int64_t epoch) {
    EXPECT_FALSE(small.model->is_training());
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    return examples::Json{{"score", 10 * epoch}};
  };
  const auto end = small.train();
  const auto lines = log_lines(folder.path);
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[1]["score"], 20);
  EXPECT_LT(end.seconds, 0.4);
}

TEST(Training, RateFallsAsThePlanSays) {
  for (const bool linear : {false, true}) {
    const Folder folder("rate");
    Small small("adamw", folder.path);
    small.plan.linear = linear;
    small.plan.warmup = 0;
    small.plan.final_factor = 0.25;
    const double rate = small.optimizer->param_groups()[0].options().get_lr();
    std::vector<double> shares;  // of the highest rate, at each of the 18 steps
    small.before_step = [&](int64_t) {
      shares.push_back(small.optimizer->param_groups()[0].options().get_lr() / rate);
    };
    small.train();
    EXPECT_DOUBLE_EQ(shares.front(), 1);
    EXPECT_NEAR(shares[9], 0.625, 1e-12);  // half of the way
    // A quarter of the way: cos(pi / 4) and 1/4, between the ends.
    EXPECT_NEAR((shares[4] + shares[5]) / 2, linear ? 0.8125 : 0.25 + 0.75 * 0.8522, 1e-4);
    EXPECT_NEAR(small.optimizer->param_groups()[0].options().get_lr() / rate, 0.25, 1e-12);
  }
}

TEST(Training, CheckpointHoldsWhatThePlanAdds) {
  const Folder folder("added");
  Small small("sgd", folder.path), resumed("sgd", folder.path);
  examples::WeightAverage average(*small.model, 0.9), loaded(*resumed.model, 0.9);
  small.plan.add_to_checkpoint = [&](examples::Checkpoint& c) { c.add("average", average); };
  average.update();
  small.train();
  resumed.plan.add_to_checkpoint = [&](examples::Checkpoint& c) { c.add("average", loaded); };
  resumed.plan.resume = true;
  resumed.train();
  EXPECT_EQ(loaded.updates(), 1);
}

}  // namespace
