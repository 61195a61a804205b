// SPDX-License-Identifier: Apache-2.0
// examples/common/program.hpp: programs with commands.
#include "common/program.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// A program with the commands "grow", which has the option --size, and "read", which takes files.
struct SmallProgram {
  examples::CommonSettings common;
  int64_t size = 1, grown = 0;
  std::vector<std::string> files, read;
  bool listed = false;

  int run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "small");
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    examples::Program grow{"grow", "grows", common, {}, {}, {}, {}};
    grow.add_settings = [this](examples::Settings& list) {
      list.add("size", size, "how far", examples::Effect::kOther);
    };
    grow.run = [this](const examples::Settings& /*list*/) { grown += size; };
    examples::Program reader{"read", "reads", common, {}, {}, {}, {}};
    reader.run = [this](const examples::Settings& /*list*/) { read = files; };
    reader.files = &files;
    reader.files_help = "what is read";
    return examples::run_command(static_cast<int>(argv.size()), argv.data(), "small", "A program",
                                 {grow, reader}, {{"--list", "a list", [this] { listed = true; }}});
  }
};

TEST(RunCommand, RunsTheNamedCommandWithItsOptions) {
  SmallProgram program;
  EXPECT_EQ(program.run({"grow", "--size", "3", "--threads", "1"}), 0);
  EXPECT_EQ(program.grown, 3);
  EXPECT_EQ(program.run({"read", "--threads", "1", "a", "b"}), 0);
  EXPECT_THAT(program.read, ElementsAre("a", "b"));
}

TEST(RunCommand, RefusesWhatItDoesNotKnow) {
  SmallProgram program;
  testing::internal::CaptureStderr();
  EXPECT_NE(program.run({"gorw"}), 0);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("there is no command 'gorw'; the commands are grow, read"));
  testing::internal::CaptureStderr();
  EXPECT_NE(program.run({"read"}), 0);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("FILE"));
  EXPECT_EQ(program.grown, 0);
}

TEST(RunCommand, ListsCommandsAndRunsFlags) {
  SmallProgram program;
  testing::internal::CaptureStdout();
  EXPECT_EQ(program.run({"--help"}), 0);
  EXPECT_THAT(testing::internal::GetCapturedStdout(), HasSubstr("grow"));
  EXPECT_EQ(program.run({"--list"}), 0);
  EXPECT_TRUE(program.listed);
  testing::internal::CaptureStdout();
  EXPECT_NE(program.run({}), 0);
  EXPECT_THAT(testing::internal::GetCapturedStdout(), HasSubstr("Usage: small COMMAND"));
}

}  // namespace
