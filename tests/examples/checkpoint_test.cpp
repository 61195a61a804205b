// SPDX-License-Identifier: Apache-2.0
// Checkpoints: whatever ends a write, the previous file stays whole; what does not fit is refused.
#include "common/checkpoint.hpp"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <fstream>
#include <sstream>

#include "small.hpp"

namespace {

using examples::Checkpoint;
using examples::Json;
using examples::Position;
using examples_test::error_of;
using examples_test::Folder;
using examples_test::Small;

struct Saved {
  Small small;
  Checkpoint checkpoint;
  Saved(const std::filesystem::path& folder, Json fingerprint = {{"lr", 0.1}})
      : small("ivon", folder),
        checkpoint(folder / "checkpoint.pt", std::move(fingerprint), torch::kCPU) {
    checkpoint.add("model", *small.model);
    checkpoint.add("optimizer", *small.optimizer);
  }
  void save(int64_t epoch) {
    Position position;
    position.epoch = epoch;
    checkpoint.save(position);
  }
};

std::string content(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream(file, std::ios::binary).rdbuf();
  return text.str();
}

// Runs `body` in a child process whose files may not grow beyond `bytes`, and returns its status.
int run_with_file_limit(rlim_t bytes, bool killed, const std::function<int()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, killed ? SIG_DFL : SIG_IGN);
    const rlimit limit = {bytes, bytes}, no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    setrlimit(RLIMIT_FSIZE, &limit);
    _exit(body());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

TEST(Checkpoint, NothingWithoutAFile) {
  const Folder folder("none");
  Saved s(folder.path);
  EXPECT_FALSE(s.checkpoint.load().has_value());
}

TEST(Checkpoint, RoundTripRestoresEverything) {
  const Folder folder("round");
  Saved a(folder.path);
  Position position;
  position.epoch = 3;
  position.batch = 2;
  position.seconds = 1.5;
  position.last_loss = 0.25;
  position.loss_sum = torch::tensor(0.1, torch::kDouble);
  torch::rand({3});
  a.checkpoint.save(position);
  const auto drawn = torch::rand({4});
  const auto weights = a.small.weights();

  Saved b(folder.path);
  for (auto& p : b.small.model->parameters()) p.detach().zero_();
  const auto loaded = b.checkpoint.load().value();
  EXPECT_TRUE(torch::equal(torch::rand({4}), drawn));
  EXPECT_TRUE(torch::equal(b.small.weights(), weights));
  EXPECT_EQ(loaded.epoch, 3);
  EXPECT_EQ(loaded.batch, 2);
  EXPECT_EQ(loaded.seconds, 1.5);
  EXPECT_EQ(loaded.last_loss, 0.25);
  EXPECT_EQ(loaded.loss_sum.item<double>(), 0.1);
}

TEST(Checkpoint, OtherSettingsAreNamed) {
  const Folder folder("other");
  Saved a(folder.path, {{"lr", 0.3}, {"batch", 100}, {"epochs", 2}});
  a.save(1);
  Saved b(folder.path, {{"lr", 0.1}, {"batch", 100}, {"epochs", 3}});
  const auto weights = b.small.weights();
  EXPECT_EQ(error_of([&] { b.checkpoint.load(); }),
            b.checkpoint.file().string() +
                ": was written with other settings:\n  lr: 0.3 in the checkpoint, 0.1 now\n"
                "  epochs: 2 in the checkpoint, 3 now\nGive the same settings, name another folder "
                "with --out, or leave --resume out to start afresh.");
  EXPECT_TRUE(torch::equal(b.small.weights(), weights));
}

TEST(Checkpoint, DamagedFilesAreRefused) {
  const Folder folder("damaged");
  Saved s(folder.path);
  s.save(1);
  const std::string whole = content(s.checkpoint.file());
  const auto middle = whole.size() / 2;
  // One byte of a weight is changed, which only a checksum shows.
  const torch::Tensor weight = s.small.model->parameters().front().detach().contiguous();
  const auto place = whole.find(std::string(static_cast<const char*>(weight.data_ptr()), 16));
  ASSERT_NE(place, std::string::npos);
  std::string flipped = whole;
  flipped[place] = static_cast<char>(flipped[place] ^ 1);
  for (const std::string& bytes : {std::string(), std::string("text"), whole.substr(0, middle),
                                   whole.substr(0, whole.size() - 1), flipped}) {
    std::ofstream(s.checkpoint.file(), std::ios::binary) << bytes;
    const std::string error = error_of([&] { s.checkpoint.load(); });
    EXPECT_EQ(error.find(s.checkpoint.file().string() + ": is damaged or not a checkpoint"), 0U)
        << bytes.size() << " bytes: " << error;
    EXPECT_EQ(error.find('\n'), std::string::npos) << error;
  }
}

// Every failed write leaves the previous file to the byte, no .part, and a training that goes on.
TEST(Checkpoint, FullDiskLeavesThePreviousFile) {
  const Folder folder("full");
  Saved s(folder.path);
  s.save(1);
  const auto file = s.checkpoint.file();
  const std::string before = content(file);
  for (const rlim_t limit :
       {rlim_t{0}, rlim_t{1}, rlim_t{1000}, rlim_t{before.size() / 2}, rlim_t{before.size() - 1}}) {
    const int status = run_with_file_limit(limit, /*killed=*/false, [&] {
      const std::string expected =
          file.string() +
          ": cannot be written: File too large; a previous file of this name is unchanged";
      return error_of([&] { s.save(2); }) == expected ? 0 : 1;
    });
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << limit << ": " << status;
    EXPECT_EQ(content(file), before);
    EXPECT_FALSE(std::filesystem::exists(file.string() + ".part"));
  }
  EXPECT_EQ(s.checkpoint.load().value().epoch, 1);
}

TEST(Checkpoint, KillAtAnyByteLeavesThePreviousFile) {
  const Folder folder("killed");
  Saved s(folder.path);
  s.save(1);
  const auto file = s.checkpoint.file();
  const auto size = static_cast<rlim_t>(std::filesystem::file_size(file));
  for (rlim_t limit = 0; limit < size; limit += size / 7) {
    const int status = run_with_file_limit(limit, /*killed=*/true, [&] {
      s.save(2);
      return 0;
    });
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ) << limit << ": " << status;
    EXPECT_EQ(s.checkpoint.load().value().epoch, 1) << limit;
  }
  s.save(3);  // over what the killed writes left
  EXPECT_EQ(s.checkpoint.load().value().epoch, 3);
  EXPECT_FALSE(std::filesystem::exists(file.string() + ".part"));
}

TEST(Checkpoint, MissingFolderIsNamed) {
  const Folder folder("missing");
  Saved s(folder.path / "gone");
  EXPECT_EQ(error_of([&] { s.save(1); }),
            s.checkpoint.file().string() +
                ": cannot be written: No such file or directory; a previous file of this name is "
                "unchanged");
}

TEST(Checkpoint, TrainingGoesOnWhenItCannotBeWritten) {
  const Folder folder("goes_on"), other("goes_on_whole");
  Small whole("ivon", other.path);
  whole.train();
  Small small("ivon", folder.path);
  // A folder in the file's place, which no rename replaces.
  std::filesystem::create_directories(examples::checkpoint_file(small.plan) / "in the way");
  testing::internal::CaptureStderr();
  small.train();
  EXPECT_NE(testing::internal::GetCapturedStderr().find("; training goes on"), std::string::npos);
  EXPECT_EQ(small.losses, whole.losses);
  EXPECT_TRUE(torch::equal(small.weights(), whole.weights()));
}

}  // namespace
