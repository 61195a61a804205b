// SPDX-License-Identifier: Apache-2.0
// The list of settings: command line, presets, JSON, fingerprint.
#include "common/settings.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <limits>

#include "common/optimizers.hpp"
#include "common/program.hpp"
#include "small.hpp"

namespace {

using examples::Effect;
using examples::Json;
using examples::Settings;
using examples_test::error_of;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Mine {
  double lr = 0.1;
  double clip = kInfinity;
  int64_t epochs = 12;
  int threads = 2;
  bool bf16 = false;
  std::string out = "results";
  Settings settings;

  Mine() {
    settings.add("lr", lr, "learning rate", Effect::kTraining);
    settings.add("clip-radius", clip, "bound", Effect::kTraining);
    settings.add("epochs", epochs, "passes", Effect::kTraining, CLI::Range(1, 1000));
    settings.add("threads", threads, "threads", Effect::kOther);
    settings.add("bf16", bf16, "bfloat16", Effect::kTraining);
    settings.add("out", out, "folder", Effect::kOther);
  }
  Mine(const Mine&) = delete;

  void parse(const std::string& line) {
    CLI::App app("test");
    settings.add_options(app);
    app.parse(line, /*program_name_included=*/false);
  }
};

std::string preset(const std::string& text) {
  const std::string file = testing::TempDir() + "preset-" + std::to_string(getpid()) + ".json";
  std::ofstream(file) << text;
  return file;
}

TEST(Settings, CommandLineSetsEveryType) {
  Mine m;
  m.parse("--lr 0.25 --clip-radius 1e-3 --epochs 3 --threads 4 --bf16 --out a/b");
  EXPECT_EQ(m.lr, 0.25);
  EXPECT_EQ(m.clip, 1e-3);
  EXPECT_EQ(m.epochs, 3);
  EXPECT_EQ(m.threads, 4);
  EXPECT_TRUE(m.bf16);
  EXPECT_EQ(m.out, "a/b");
  m.parse("--no-bf16 --clip-radius inf");
  EXPECT_FALSE(m.bf16);
  EXPECT_EQ(m.clip, kInfinity);
}

TEST(Settings, JsonRoundTripIsExact) {
  Mine a, b;
  a.parse("--lr 0.1234567890123456 --epochs 7 --bf16 --out x");
  b.settings.from_json(Json::parse(a.settings.to_json().dump()), "test");
  EXPECT_EQ(b.settings.to_json(), a.settings.to_json());
  EXPECT_EQ(b.lr, a.lr);
  EXPECT_EQ(b.clip, kInfinity);
}

TEST(Settings, CommandLineWinsOverPreset) {
  const std::string file = preset(R"({"lr": 1, "epochs": 5, "bf16": true})");
  for (const char* line : {"--lr 0.5 --no-bf16 --config ", "--config "}) {
    Mine m;
    m.parse(line + file + (line[2] == 'c' ? " --lr 0.5 --no-bf16" : ""));
    EXPECT_EQ(m.lr, 0.5);
    EXPECT_EQ(m.epochs, 5);
    EXPECT_FALSE(m.bf16);
  }
}

TEST(Settings, BadPresetsAreRefusedWhole) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({"lr": 1, "learning_rate": 2})",
       ": there is no setting 'learning_rate'; --print-config lists all settings"},
      {R"({"lr": 1, "epochs": "many"})", ": 'epochs' must be a whole number, got \"many\""},
      {R"({"lr": 1, "epochs": 2.5})", ": 'epochs' must be a whole number, got 2.5"},
      {R"({"lr": 1, "threads": 5000000000})", ": 'threads' must be a whole number, got 5000000000"},
      {R"({"lr": true})", ": 'lr' must be a number, got true"},
      {R"({"lr": 1, "bf16": 1})", ": 'bf16' must be true or false, got 1"},
      {R"({"lr": 1, "out": 1})", ": 'out' must be a string, got 1"},
      {"[]", ": must be a JSON object of settings"},
  };
  for (const auto& [text, message] : cases) {
    Mine m;
    const std::string file = preset(text);
    EXPECT_EQ(error_of([&] { m.settings.read_preset(file); }), file + message);
    EXPECT_EQ(m.lr, 0.1) << text;
  }
  Mine m;
  EXPECT_NE(error_of([&] { m.settings.read_preset(preset(R"({"epochs": 0})")); }).find("'epochs'"),
            std::string::npos);
  EXPECT_NE(error_of([&] { m.settings.read_preset(preset("{")); }).find("is not JSON"),
            std::string::npos);
  EXPECT_EQ(error_of([&] { m.settings.read_preset("/no/file"); }), "/no/file: cannot be opened");
}

TEST(Settings, FingerprintHoldsTrainingSettingsOnly) {
  Mine a, b;
  b.parse("--out elsewhere --threads 9");
  EXPECT_EQ(a.settings.fingerprint(), b.settings.fingerprint());
  b.parse("--lr 0.3 --bf16");
  EXPECT_EQ(examples::differences(b.settings.fingerprint(), a.settings.fingerprint()),
            (std::vector<std::string>{"lr: 0.3 in the checkpoint, 0.1 now",
                                      "bf16: true in the checkpoint, false now"}));
  EXPECT_EQ(b.settings.fingerprint({"lr", "bf16"}), a.settings.fingerprint({"lr", "bf16"}));
  EXPECT_EQ(examples::differences(Json{{"old", 1}}, Json{{"new", 2}}),
            (std::vector<std::string>{"old: 1 in the checkpoint, not set now",
                                      "new: not set in the checkpoint, 2 now"}));
}

TEST(Settings, NamesAreUnique) {
  Mine m;
  EXPECT_THROW(m.settings.add("lr", m.lr, "again", Effect::kOther), std::logic_error);
}

TEST(Optimizers, ChoiceBringsItsUsualSettings) {
  for (const std::string line : {"--lr 7 --optimizer adamw", "--optimizer adamw --lr 7"}) {
    examples::OptimizerSettings s = examples::optimizer_settings("ivon");
    Settings settings;
    examples::add_optimizer_choice(settings, s);
    CLI::App app("test");
    settings.add_options(app);
    app.parse(line, false);
    EXPECT_EQ(s.name, "adamw");
    EXPECT_EQ(s.lr, 7);
    EXPECT_EQ(s.beta2, 0.999);
    examples::OptimizerSettings t = examples::optimizer_settings("sgd");
    Settings same;
    examples::add_optimizer_choice(same, t);
    same.from_json(settings.to_json(), "test");
    EXPECT_EQ(same.to_json(), settings.to_json());
  }
  EXPECT_THROW(examples::optimizer_settings("adam"), std::invalid_argument);
}

// The optimizer's settings after a command line, in which CONFIG stands for --config and a preset.
examples::OptimizerSettings chosen(std::string line, const std::string& text) {
  line.replace(line.find("CONFIG"), 6, "--config " + preset(text));
  examples::OptimizerSettings s = examples::optimizer_settings("ivon");
  Settings settings;
  examples::add_optimizer_choice(settings, s);
  CLI::App app("test");
  settings.add_options(app);
  app.parse(line, false);
  return s;
}

TEST(Optimizers, ChoiceOfCommandLineWinsOverPreset) {
  const std::string text = R"({"optimizer": "ivon-paper", "lr": 3, "ess": 7})";
  for (const std::string line : {"--optimizer sgd CONFIG", "CONFIG --optimizer sgd"}) {
    const examples::OptimizerSettings s = chosen(line, text);
    EXPECT_EQ(s.name, "sgd") << line;
    EXPECT_EQ(s.lr, examples::optimizer_settings("sgd").lr) << line;
  }
  for (const std::string line : {"--lr 5 CONFIG --optimizer sgd", "--optimizer sgd CONFIG --lr 5"})
    EXPECT_EQ(chosen(line, text).lr, 5) << line;
}

TEST(Optimizers, PresetKeepsItsValuesForTheSameChoice) {
  const std::string text = R"({"optimizer": "ivon-paper", "lr": 3})";
  for (const std::string line : {"--optimizer ivon-paper CONFIG", "CONFIG --optimizer ivon-paper"})
    EXPECT_EQ(chosen(line, text).lr, 3) << line;
}

// Runs the program with these words and returns its exit code.
int run(std::vector<std::string> words, examples::CommonSettings& common,
        std::function<void(const Settings&)> body) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  common.threads = 1;
  examples::Program program{"test",         "a test", common, {}, {}, [&] { common.samples = 2; },
                            std::move(body)};
  return examples::run_program(static_cast<int>(argv.size()), argv.data(), program);
}

TEST(Program, ExitCodesAndMessages) {
  examples::CommonSettings c;
  EXPECT_EQ(run({"test", "--smoke", "--seed", "5"}, c, [](const Settings&) {}), 0);
  EXPECT_TRUE(c.smoke);
  EXPECT_EQ(c.samples, 2);
  EXPECT_EQ(c.seed, 5);
  EXPECT_EQ(run({"test", "--samples", "9", "--smoke"}, c, [](const Settings&) {}), 0);
  EXPECT_EQ(c.samples, 9);
  testing::internal::CaptureStderr();
  EXPECT_EQ(run({"test"}, c, [](const Settings&) { throw std::runtime_error("no data"); }), 1);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "test: no data\n");
  testing::internal::CaptureStderr();
  EXPECT_GT(run({"test", "--nonsense"}, c, [](const Settings&) {}), 100);
  EXPECT_GT(run({"test", "--device", "tpu"}, c, [](const Settings&) {}), 100);
  testing::internal::GetCapturedStderr();
  testing::internal::CaptureStdout();
  EXPECT_EQ(run({"test", "--print-config"}, c, [](const Settings&) { FAIL(); }), 0);
  EXPECT_EQ(Json::parse(testing::internal::GetCapturedStdout())["seed"], 5);
}

TEST(Program, SmokeWinsOverPresetInBothOrders) {
  const std::string file = preset(R"({"samples": 200, "seed": 3})");
  const std::vector<std::vector<std::string>> lines = {{"test", "--smoke", "--config", file},
                                                       {"test", "--config", file, "--smoke"}};
  for (const std::vector<std::string>& words : lines) {
    examples::CommonSettings c;
    EXPECT_EQ(run(words, c, [](const Settings&) {}), 0);
    EXPECT_EQ(c.samples, 2);
    EXPECT_EQ(c.seed, 3);
  }
  examples::CommonSettings c;
  EXPECT_EQ(run({"test", "--samples", "9", "--smoke", "--config", file}, c, [](const Settings&) {}),
            0);
  EXPECT_EQ(c.samples, 9);
}

TEST(Program, ResumeCommandIsQuoted) {
  std::vector<std::string> words = {"./a", "--out", "my folder"};
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  EXPECT_EQ(examples::resume_command(3, argv.data()), "./a --out 'my folder' --resume");
}

}  // namespace
