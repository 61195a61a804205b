// SPDX-License-Identifier: Apache-2.0
// Checkpoints of a module with frozen weights: without these, and still bit for bit.
#include "common/trained_weights.hpp"

#include <signal.h>

#include <sstream>

#include "common/interrupt.hpp"
#include "small.hpp"

namespace {

using examples_test::error_of;
using examples_test::Folder;
using examples_test::Small;

constexpr int64_t kFrozenHidden = 20'000;  // the frozen layer: 480 kB

// A training of Small's last layer.
struct Frozen : Small {
  Frozen(const std::filesystem::path& out, const std::string& optimizer_name = "ivon",
         int64_t hidden = kFrozenHidden)
      : Small(optimizer_name, out, hidden) {
    optimizer.reset();  // before another one takes its parameters
    first().requires_grad_(false);
    model[0]->named_parameters()["bias"].requires_grad_(false);
    optimizer = examples::make_optimizer(examples_test::optimizer_settings(optimizer_name),
                                         model[3]->parameters());
  }
  torch::Tensor first() { return model[0]->named_parameters()["weight"]; }
};

template <class T>
std::string archived(const T& object) {
  torch::serialize::OutputArchive archive;
  object.save(archive);
  std::ostringstream out;
  archive.save_to(out);
  return out.str();
}

template <class T>
void load_archived(T& object, const std::string& bytes) {
  torch::serialize::InputArchive archive;
  archive.load_from(bytes.data(), bytes.size());
  object.load(archive);
}

struct WithBuffer : torch::nn::Module {
  torch::nn::BatchNorm1d norm{3};
  torch::Tensor weight;
  WithBuffer() {
    register_module("norm", norm);
    weight = register_parameter("weight", torch::ones({2}));
    for (auto& parameter : norm->parameters()) parameter.requires_grad_(false);
  }
};

TEST(TrainedWeights, ArchiveIsTheModulesOwnWhereAllAreTrained) {
  torch::nn::Sequential model(torch::nn::Linear(5, 4), torch::nn::BatchNorm1d(4));
  EXPECT_EQ(archived(examples::TrainedWeights(*model)), archived(*model.ptr()));
  EXPECT_EQ(examples::frozen_checksum(*model), "");
}

TEST(TrainedWeights, ParametersThatAreTrainedAndBuffersComeBack) {
  WithBuffer from, to;
  from.weight.detach().fill_(7);
  from.norm->running_mean.fill_(3);
  from.norm->weight.detach().fill_(5);  // frozen: not in the archive
  load_archived(*std::make_unique<examples::TrainedWeights>(to),
                archived(examples::TrainedWeights(from)));
  EXPECT_TRUE(torch::equal(to.weight, from.weight));
  EXPECT_TRUE(torch::equal(to.norm->running_mean, from.norm->running_mean));
  EXPECT_TRUE(torch::equal(to.norm->weight, torch::ones({3})));
}

TEST(TrainedWeights, MissingParameterIsAnError) {
  WithBuffer from, to;
  from.weight.requires_grad_(false);
  examples::TrainedWeights trained(to);
  EXPECT_THROW(load_archived(trained, archived(examples::TrainedWeights(from))), c10::Error);
}

TEST(TrainedWeights, ChecksumTellsFrozenWeightsApart) {
  WithBuffer module;
  const std::string before = examples::frozen_checksum(module);
  EXPECT_EQ(before.substr(0, 3), "24-") << before;
  module.weight.detach().fill_(7);
  EXPECT_EQ(examples::frozen_checksum(module), before);
  module.norm->bias.detach()[2] = 1;
  EXPECT_NE(examples::frozen_checksum(module), before);
}

TEST(TrainedWeights, ResumedTrainingEqualsTheUninterruptedOne) {
  for (const char* optimizer : {"ivon", "ivon_on_step", "adamw"}) {
    SCOPED_TRACE(optimizer);
    const Folder whole_folder("frozen_whole"), folder("frozen");
    Frozen whole(whole_folder.path, optimizer);
    whole.train();
    Frozen first(folder.path, optimizer);  // begins with the seed of `whole`
    first.before_step = [](int64_t done) {
      if (done == 8) raise(SIGTERM);
    };
    EXPECT_THROW(first.train(), examples::Interrupted);
    Frozen second(folder.path, optimizer);
    // What is trained comes from the checkpoint alone.
    for (auto& parameter : second.model[3]->parameters()) parameter.detach().fill_(9);
    second.plan.resume = true;
    second.train();
    EXPECT_TRUE(torch::equal(second.weights(), whole.weights()));
  }
}

TEST(TrainedWeights, CheckpointHoldsNoFrozenWeights) {
  const Folder folder("frozen_size"), all("trained_size");
  const auto size_of = [](Small& small) {
    small.plan.epochs = 1;
    small.train();
    return std::filesystem::file_size(examples::checkpoint_file(small.plan));
  };
  Frozen frozen(folder.path, "sgd");
  Small trained("sgd", all.path, kFrozenHidden);
  EXPECT_NEAR(static_cast<double>(size_of(trained)) - static_cast<double>(size_of(frozen)),
              2.0 * 480'000, 10'000);
}

TEST(TrainedWeights, OtherFrozenWeightsAreRefused) {
  const Folder folder("frozen_other");
  Frozen first(folder.path, "ivon", 8), second(folder.path, "ivon", 8);
  first.plan.epochs = 1;
  first.train();
  second.first().detach()[0][0] += 1;
  second.plan.resume = true;
  EXPECT_NE(error_of([&] { second.train(); }).find("\n  frozen weights: \"192-"),
            std::string::npos);
}

}  // namespace
