// SPDX-License-Identifier: Apache-2.0
// Archives: complete in both directions; anything that is not whole and fitting is refused with a
// clear message, before anything has changed.
#include <cstdio>
#include <fstream>
#include <ivon/kernels/normal.hpp>
#include <ivon/optimizer.hpp>

#include "pch.hpp"
#include "support.hpp"

namespace {

using ivon::GradSquaredEstimator;
using ivon::IVON;
using ivon::IVONOptions;
using ivon_test::message_of;
using ivon_test::same_bits;
using torch::optim::OptimizerParamGroup;

template <class Optimizer>
void train(Optimizer& optimizer, const std::vector<torch::Tensor>& parameters, int steps) {
  for (int i = 0; i < steps; ++i) {
    optimizer.step([&] {
      optimizer.zero_grad();
      auto loss = torch::zeros({});
      for (const auto& parameter : parameters) loss = loss + parameter.pow(2).sum();
      loss.backward();
      return loss;
    });
  }
}

struct Fixture {
  torch::Tensor a = torch::linspace(-1, 1, 6).view({2, 3}).requires_grad_();
  torch::Tensor b = torch::linspace(0, 1, 4).requires_grad_();
  IVON<> optimizer;
  Fixture() : optimizer(groups(), IVONOptions(0.1).ess(100)) { optimizer.manual_seed(1); }
  std::vector<OptimizerParamGroup> groups() {
    std::vector<OptimizerParamGroup> list;
    list.emplace_back(std::vector<torch::Tensor>{a});
    list.emplace_back(std::vector<torch::Tensor>{b},
                      std::make_unique<IVONOptions>(IVONOptions(0.2).hess_init(0.5)));
    return list;
  }
};

template <class Optimizer>
std::string saved(const Optimizer& optimizer) {
  std::stringstream stream;
  torch::save(optimizer, stream);
  return stream.str();
}

template <class Optimizer>
void load(Optimizer& optimizer, const std::string& bytes) {
  std::stringstream stream(bytes);
  torch::load(optimizer, stream);
}

// What the optimizer is, as far as anyone can see.
std::string fingerprint(const Fixture& fixture) { return saved(fixture.optimizer); }

TEST(Serialization, RestoresOptionsStateAndNoise) {
  Fixture source, target;
  train(source.optimizer, {source.a, source.b}, 3);
  auto& lr = static_cast<IVONOptions&>(source.optimizer.param_groups()[1].options());
  lr.set_lr(0.0125);  // as a scheduler leaves it
  target.optimizer.manual_seed(77);
  load(target.optimizer, saved(source.optimizer));
  for (size_t g = 0; g < 2; ++g) {
    EXPECT_EQ(static_cast<const IVONOptions&>(target.optimizer.param_groups()[g].options()),
              static_cast<const IVONOptions&>(source.optimizer.param_groups()[g].options()));
  }
  EXPECT_EQ(target.optimizer.param_groups()[1].options().get_lr(), 0.0125);
  EXPECT_TRUE(same_bits(target.optimizer.param_state(target.a).hess(),
                        source.optimizer.param_state(source.a).hess()));
  EXPECT_TRUE(same_bits(target.optimizer.param_state(target.b).momentum(),
                        source.optimizer.param_state(source.b).momentum()));
  EXPECT_EQ(target.optimizer.param_state(target.a).step(), 3);
}

TEST(Serialization, RestoresTheOptimizersOwnOptions) {
  auto a = torch::zeros({2}).requires_grad_(), b = torch::zeros({2}).requires_grad_();
  IVON source({a}, IVONOptions(0.1).ess(10).mc_samples(4)), target({b}, IVONOptions(0.5).ess(1));
  load(target, saved(source));
  const auto& defaults = static_cast<const IVONOptions&>(target.defaults());
  EXPECT_EQ(defaults, IVONOptions(0.1).ess(10).mc_samples(4));
}

TEST(Serialization, CountsSkippedElements) {
  Fixture source, target;
  source.optimizer.step([&] {
    source.optimizer.zero_grad();
    auto loss = source.a.sum() * std::nan("");
    loss.backward();
    return loss;
  });
  EXPECT_EQ(source.optimizer.skipped_elements(), 6);
  load(target.optimizer, saved(source.optimizer));
  EXPECT_EQ(target.optimizer.skipped_elements(), 6);
}

TEST(Serialization, WithoutAnyState) {
  Fixture source, target;
  train(target.optimizer, {target.a, target.b}, 2);
  load(target.optimizer, saved(source.optimizer));
  EXPECT_TRUE(target.optimizer.state().empty());
}

// A model may have a parameter called as torch's own layout calls its entries.
TEST(Serialization, BesideAModelInOneArchive) {
  struct Model : torch::nn::Module {
    torch::Tensor state = register_parameter("state", torch::ones({3}));
    torch::Tensor groups = register_parameter("param_groups", torch::ones({2}));
  };
  Model model, other;
  IVON source(model.parameters(), IVONOptions(0.1).ess(10));
  IVON target(other.parameters(), IVONOptions(0.3).ess(20));
  train(source, model.parameters(), 2);
  std::stringstream stream;
  torch::serialize::OutputArchive out;
  model.save(out);
  source.save(out);
  out.save_to(stream);
  torch::serialize::InputArchive in;
  in.load_from(stream);
  other.load(in);
  target.load(in);
  EXPECT_TRUE(same_bits(other.state, model.state));
  EXPECT_TRUE(
      same_bits(target.param_state(other.state).hess(), source.param_state(model.state).hess()));
}

TEST(Serialization, ThroughTheBaseAndAFile) {
  Fixture source, target;
  train(source.optimizer, {source.a, source.b}, 2);
  const std::string path = testing::TempDir() + "ivon_serialization_test.pt";
  const torch::optim::Optimizer& saving = source.optimizer;
  torch::save(saving, path);
  torch::optim::Optimizer& loading = target.optimizer;
  torch::load(loading, path);
  std::remove(path.c_str());
  EXPECT_TRUE(same_bits(target.optimizer.param_state(target.a).hess(),
                        source.optimizer.param_state(source.a).hess()));
}

// --- archives of noise stream 1 -----------------------------------------------------------------

// A run that golden/archives/version_1.cpp saved after three steps. Archives of that time say noise
// stream 1.
struct SerializedFirstStream {
  torch::Tensor a = torch::zeros({3, 2}).requires_grad_();
  torch::Tensor b = torch::zeros({4}, torch::kBFloat16).requires_grad_();
  torch::Tensor c = torch::zeros({2}, torch::kDouble).requires_grad_();
  IVON<> optimizer;

  SerializedFirstStream() : optimizer(groups(), IVONOptions(1).ess(1)) {
    torch::load(optimizer, IVON_TEST_GOLDEN_DIR "/archives/version_1.pt");
  }
  // A resumed run: the weights come from the model, and the rest from the archive.
  explicit SerializedFirstStream(const SerializedFirstStream& run)
      : a(run.a.detach().clone().requires_grad_()),
        b(run.b.detach().clone().requires_grad_()),
        c(run.c.detach().clone().requires_grad_()),
        optimizer(groups(), IVONOptions(1).ess(1)) {
    load(optimizer, saved(run.optimizer));
  }
  std::vector<OptimizerParamGroup> groups() {
    std::vector<OptimizerParamGroup> list;
    list.emplace_back(std::vector<torch::Tensor>{a, b});
    list.emplace_back(std::vector<torch::Tensor>{c});
    return list;
  }
  void step() {
    optimizer.zero_grad();
    {
      const auto sample = optimizer.sampled_params();
      ((a * a).sum() + b.to(torch::kFloat).pow(2).sum() + c.pow(2).sum()).backward();
    }
    optimizer.step();
  }
};

int64_t number_in(const std::string& bytes, const char* entry) {
  std::stringstream stream(bytes);
  torch::serialize::InputArchive archive, root;
  archive.load_from(stream);
  archive.read(ivon::detail::kArchiveKey, root);
  c10::IValue value;
  root.read(entry, value);
  return value.toInt();
}

// The next sample of parameter a after the run was saved as `bytes`, by the formula.
at::Tensor sample_in_stream(const SerializedFirstStream& run, const std::string& bytes,
                            int64_t stream) {
  const ivon::detail::NoiseKey key{static_cast<uint64_t>(number_in(bytes, "seed")),
                                   static_cast<uint64_t>(number_in(bytes, "training_draws")),
                                   ivon::detail::NoiseDomain::kTraining, 0, stream};
  std::vector<float> normals(6);
  ivon::detail::fill_normal(key, 0, normals.data(), 6);
  const auto& options = static_cast<const IVONOptions&>(run.optimizer.param_groups()[0].options());
  const at::Tensor precision =
      options.ess() * (run.optimizer.param_state(run.a).hess() + options.weight_decay());
  return run.optimizer.mean(run.a) + torch::tensor(normals).view({3, 2}) / precision.sqrt();
}

TEST(SerializationOfTheFirstStream, GoesOnWithIt) {
  SerializedFirstStream run;
  for (int i = 0; i < 2; ++i) {
    const std::string before = saved(run.optimizer);
    EXPECT_EQ(number_in(before, "noise_stream"), 1);
    const auto of_first = sample_in_stream(run, before, 1);
    const auto of_third = sample_in_stream(run, before, 3);
    {
      const auto sample = run.optimizer.sampled_params();
      EXPECT_TRUE(torch::allclose(run.a.detach(), of_first, 1e-5, 1e-6)) << i;
      EXPECT_FALSE(torch::allclose(run.a.detach(), of_third, 1e-3, 1e-3)) << i;
    }
    run.step();
  }
}

TEST(SerializationOfTheFirstStream, AResumedRunIsTheUninterruptedOne) {
  SerializedFirstStream run;
  for (int i = 0; i < 3; ++i) {
    SerializedFirstStream resumed(run);
    resumed.step();
    run.step();
    EXPECT_TRUE(same_bits(resumed.a, run.a)) << i;
    EXPECT_TRUE(same_bits(resumed.b, run.b)) << i;
    EXPECT_TRUE(same_bits(resumed.c, run.c)) << i;
    EXPECT_TRUE(same_bits(resumed.optimizer.param_state(resumed.a).hess(),
                          run.optimizer.param_state(run.a).hess()))
        << i;
  }
}

TEST(SerializationOfTheFirstStream, ManualSeedBeginsStream3) {
  SerializedFirstStream run;
  run.optimizer.manual_seed(4);
  EXPECT_EQ(number_in(saved(run.optimizer), "noise_stream"), 3);
  EXPECT_EQ(number_in(saved(Fixture().optimizer), "noise_stream"), 3);
}

// --- refusals -----------------------------------------------------------------------------------

void expect_refused(const std::string& bytes, const std::string& message) {
  Fixture fixture;
  train(fixture.optimizer, {fixture.a, fixture.b}, 2);
  const std::string before = fingerprint(fixture);
  EXPECT_EQ(message_of([&] { load(fixture.optimizer, bytes); }), message);
  EXPECT_EQ(fingerprint(fixture), before) << "changed before it threw";
}

TEST(SerializationErrors, AnotherOptimizer) {
  auto weight = torch::ones({2, 3}).requires_grad_();
  torch::optim::AdamW adamw({weight}, torch::optim::AdamWOptions(0.1));
  weight.sum().backward();
  adamw.step();
  expect_refused(
      saved(adamw),
      "ivon: the archive holds another optimizer (torch::optim's layout), whose state says "
      "nothing about a posterior; load the model's weights and start IVON afresh");
}

TEST(SerializationErrors, NoOptimizer) {
  std::stringstream stream;
  torch::save(torch::ones({2}), stream);
  expect_refused(
      stream.str(),
      "ivon: the archive holds no IVON optimizer; load a file that torch::save(optimizer, "
      "...) or optimizer.save(archive) wrote");
}

TEST(SerializationErrors, AnotherEstimator) {
  Fixture shapes;
  IVON<GradSquaredEstimator> other(shapes.groups(), IVONOptions(0.1).ess(10));
  expect_refused(
      saved(other),
      "ivon: the archive was written with estimator 'gradsq', this optimizer has 'price'; "
      "construct the one that was saved");
}

TEST(SerializationErrors, OtherParameters) {
  auto a = torch::ones({3, 2}).requires_grad_(), b = torch::ones({4}).requires_grad_();
  const auto two_groups = [](torch::Tensor first, torch::Tensor second) {
    std::vector<OptimizerParamGroup> groups;
    groups.emplace_back(std::vector<torch::Tensor>{first});
    groups.emplace_back(std::vector<torch::Tensor>{second});
    return groups;
  };
  expect_refused(
      saved(IVON(two_groups(a, b), IVONOptions(0.1).ess(10))),
      "ivon: the archive holds [3, 2] in Float for parameter 0 (group 0, shape [2, 3]) in "
      "Float; build it from the model that was saved");
  expect_refused(
      saved(IVON(two_groups(a.detach().view({2, 3}).to(torch::kDouble).requires_grad_(), b),
                 IVONOptions(0.1).ess(10))),
      "ivon: the archive holds [2, 3] in Double for parameter 0 (group 0, shape [2, 3]) in Float; "
      "build it from the model that was saved");
  expect_refused(
      saved(IVON({a}, IVONOptions(0.1).ess(10))),
      "ivon: the archive holds 1 parameter groups, this optimizer has 2; build it with the "
      "groups that were saved");
  std::vector<OptimizerParamGroup> more = two_groups(a, b);
  more[0].params().push_back(torch::ones({1}).requires_grad_());
  expect_refused(
      saved(IVON(more, IVONOptions(0.1).ess(10))),
      "ivon: the archive's parameter group 0 holds 2 parameters, this optimizer's 1; build "
      "it from the model that was saved");
}

// Archives made by hand: one entry different, one missing.
std::string tampered(const std::function<void(torch::serialize::OutputArchive&)>& write_root) {
  torch::serialize::OutputArchive archive;
  torch::serialize::OutputArchive root(archive.compilation_unit());
  write_root(root);
  archive.write(ivon::detail::kArchiveKey, root);
  std::stringstream stream;
  archive.save_to(stream);
  return stream.str();
}

TEST(SerializationErrors, NewerFormat) {
  expect_refused(
      tampered([](auto& root) { root.write("format_version", c10::IValue(int64_t{4})); }),
      "ivon: the archive has format version 4, this library reads up to 3; update ivon");
}

TEST(SerializationErrors, AnotherNoiseStream) {
  expect_refused(
      tampered([](auto& root) {
        root.write("format_version", c10::IValue(int64_t{1}));
        root.write("noise_stream", c10::IValue(int64_t{7}));
      }),
      "ivon: the archive was written with noise stream 7, this library draws stream 3; a "
      "resumed run could not be the uninterrupted one, use the version that wrote it");
}

TEST(SerializationErrors, MissingEntries) {
  expect_refused(tampered([](auto& root) {
                   root.write("format_version", c10::IValue(int64_t{1}));
                   root.write("noise_stream", c10::IValue(int64_t{1}));
                 }),
                 "ivon: the archive has no entry 'estimator'; it is damaged");
}

TEST(SerializationErrors, TruncatedFiles) {
  Fixture source;
  train(source.optimizer, {source.a, source.b}, 2);
  const std::string whole = saved(source.optimizer);
  for (const size_t part : {size_t{0}, size_t{10}, whole.size() / 2, whole.size() - 1}) {
    Fixture fixture;
    train(fixture.optimizer, {fixture.a, fixture.b}, 2);
    const std::string before = fingerprint(fixture);
    EXPECT_ANY_THROW(load(fixture.optimizer, whole.substr(0, part))) << part;
    EXPECT_EQ(fingerprint(fixture), before) << part;
  }
}

}  // namespace
