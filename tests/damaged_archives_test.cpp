// SPDX-License-Identifier: Apache-2.0
// Archives with impossible values, missing entries and wrong types: an error of ours, before
// anything changes. Archives of the first format are read.
#include <functional>
#include <ivon/ivon.hpp>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "pch.hpp"
#include "support.hpp"

namespace {

using ivon::IVON;
using ivon::IVONOptions;
using ivon_test::message_of;
using ivon_test::OneThread;
using ivon_test::same_bits;
using torch::optim::OptimizerParamGroup;
using torch::serialize::InputArchive;
using torch::serialize::OutputArchive;

// A float32 and a bfloat16 parameter in one group, a float64 one in a second.
struct SavedRun {
  torch::Tensor a = torch::linspace(-1, 1, 6).view({2, 3}).requires_grad_();
  torch::Tensor b = torch::linspace(0, 1, 4).to(torch::kBFloat16).requires_grad_();
  torch::Tensor c = torch::linspace(0, 1, 2, torch::kDouble).requires_grad_();
  IVON<> optimizer;

  explicit SavedRun(bool on_step = false)
      : optimizer(groups(), IVONOptions(0.1).ess(100).sample_on_step(on_step)) {
    optimizer.manual_seed(1);
    for (int i = 0; i < 2; ++i) {
      optimizer.zero_grad();
      if (on_step) {
        backward();
      } else {
        const auto sample = optimizer.sampled_params();
        backward();
      }
      optimizer.step();
    }
  }
  std::vector<OptimizerParamGroup> groups() {
    std::vector<OptimizerParamGroup> list;
    list.emplace_back(std::vector<torch::Tensor>{a, b});
    list.emplace_back(std::vector<torch::Tensor>{c},
                      std::make_unique<IVONOptions>(IVONOptions(0.2).hess_init(0.5)));
    return list;
  }
  void backward() {
    (a.pow(2).sum() + b.to(torch::kFloat).pow(2).sum() + c.pow(2).sum()).backward();
  }
  std::string saved() const {
    std::stringstream stream;
    torch::save(optimizer, stream);
    return stream.str();
  }
  std::string load(const std::string& bytes) {
    std::stringstream stream(bytes);
    return message_of([&] { torch::load(optimizer, stream); });
  }
};

// The archive of `source` with one entry written by `write` instead; left out where it writes none.
using Write = std::function<void(OutputArchive&, const c10::IValue&)>;
std::string tampered(const std::string& source, const std::string& key, const Write& write) {
  std::stringstream in(source);
  InputArchive whole, root;
  whole.load_from(in);
  EXPECT_TRUE(whole.try_read(ivon::detail::kArchiveKey, root));
  OutputArchive archive;
  OutputArchive copy(archive.compilation_unit());
  for (const std::string& each : root.keys()) {
    c10::IValue value;
    EXPECT_TRUE(root.try_read(each, value)) << each;
    if (each == key) {
      write(copy, value);
    } else {
      copy.write(each, value);
    }
  }
  archive.write(ivon::detail::kArchiveKey, copy);
  std::stringstream out;
  archive.save_to(out);
  return out.str();
}
std::string with(const std::string& source, const std::string& key, const c10::IValue& value) {
  return tampered(source, key,
                  [&](OutputArchive& out, const c10::IValue&) { out.write(key, value); });
}
// One element of a list replaced.
std::string with_element(const std::string& source, const std::string& key, size_t element,
                         const c10::IValue& value) {
  return tampered(source, key, [&](OutputArchive& out, const c10::IValue& list) {
    c10::List<c10::IValue> copy = list.toList().copy();
    copy.set(element, value);
    out.write(key, c10::IValue(copy));
  });
}

std::vector<std::string> keys_of(const std::string& source) {
  std::stringstream in(source);
  InputArchive whole, root;
  whole.load_from(in);
  EXPECT_TRUE(whole.try_read(ivon::detail::kArchiveKey, root));
  return root.keys();
}

void expect_damage_refused(const std::string& bytes, const std::string& message,
                           bool on_step = false) {
  SavedRun fixture(on_step);
  const std::string before = fixture.saved();
  EXPECT_EQ(fixture.load(bytes), message);
  EXPECT_EQ(fixture.saved(), before) << "changed before it threw: " << message;
}

const float kInfinity = std::numeric_limits<float>::infinity();
const float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(DamagedArchives, ImpossibleValues) {
  const OneThread one_thread;
  const std::string good = SavedRun().saved();
  const auto matrix = [](double value) {
    auto tensor = torch::ones({2, 3});
    tensor[1][2] = value;
    return c10::IValue(tensor);
  };
  const std::string at_a = " of parameter 0 (group 0, shape [2, 3]) must be finite; it is damaged";
  expect_damage_refused(with_element(good, "hess", 0, matrix(kNan)),
                        "ivon: the archive's hess" + at_a);
  expect_damage_refused(with_element(good, "hess", 0, matrix(kInfinity)),
                        "ivon: the archive's hess" + at_a);
  expect_damage_refused(with_element(good, "momentum", 0, matrix(kNan)),
                        "ivon: the archive's momentum" + at_a);
  expect_damage_refused(
      with_element(good, "mean", 0, c10::IValue(torch::full({4}, kNan))),
      "ivon: the archive's mean of parameter 1 (group 0, shape [4]) must be finite; it "
      "is damaged");
  for (const int64_t step : {int64_t{-2}, std::numeric_limits<int64_t>::max()}) {
    expect_damage_refused(
        with_element(good, "steps", 0, c10::IValue(step)),
        "ivon: the archive's step of parameter 0 (group 0, shape [2, 3]) must be >= 0 "
        "and < 2^53, got " +
            std::to_string(step) + "; it is damaged");
  }
  for (const char* key : {"training_draws", "prediction_draws", "skipped_elements"}) {
    expect_damage_refused(with(good, key, int64_t{-1}), std::string("ivon: the archive's ") + key +
                                                            " must be >= 0, got -1; it is damaged");
  }
  expect_damage_refused(
      with_element(good, "option_mc_samples", 1, int64_t{3}),
      "ivon: the archive's parameter group 0: mc_samples must be the optimizer's 1, got "
      "3; it is damaged");
  expect_damage_refused(
      with_element(good, "option_lr", 2, -1.0),
      "ivon: the archive's parameter group 1: lr must be finite and >= 0, got -1; a good "
      "start is 0.1");
}

TEST(DamagedArchives, MeansOfTheModule) {
  const OneThread one_thread;
  const std::string good = SavedRun(true).saved();
  expect_damage_refused(
      with_element(good, "module_mean", 0, c10::IValue(torch::full({2, 3}, kNan))),
      "ivon: the archive's mean of parameter 0 (group 0, shape [2, 3]) must be finite; "
      "it is damaged",
      true);
  expect_damage_refused(
      with_element(good, "module_mean", 0, c10::IValue(torch::ones({2, 3}).to_sparse())),
      "ivon: the archive's mean does not belong to parameter 0 (group 0, shape [2, 3]); "
      "it is damaged",
      true);
}

TEST(DamagedArchives, HessBelowTheFloorIsLegal) {
  const OneThread one_thread;
  SavedRun fixture;
  const std::string bytes =
      with_element(fixture.saved(), "hess", 0, c10::IValue(torch::full({2, 3}, -5.0F)));
  EXPECT_EQ(fixture.load(bytes), "");
  fixture.optimizer.zero_grad();
  {
    const auto sample = fixture.optimizer.sampled_params();
    EXPECT_TRUE(fixture.a.isfinite().all().item<bool>());
    fixture.backward();
  }
  fixture.optimizer.step();
  EXPECT_TRUE((fixture.optimizer.param_state(fixture.a).hess() + 1e-4 > 0).all().item<bool>());
}

TEST(DamagedArchives, HugeCountsAllocateNothing) {
  const OneThread one_thread;
  const std::string good = SavedRun().saved();
  c10::List<int64_t> sizes({int64_t{20'000'000'000'000}, int64_t{1}});
  expect_damage_refused(with(good, "group_sizes", c10::IValue(sizes)),
                        "ivon: the archive's list 'dimensions' is too short; it is damaged");
}

TEST(DamagedArchives, EveryEntryWithEveryWrongType) {
  const OneThread one_thread;
  const std::string good = SavedRun(true).saved();
  const std::vector<c10::IValue> values = {
      c10::IValue(int64_t{1}),
      c10::IValue(-1.5),
      c10::IValue(true),
      c10::IValue("text"),
      c10::IValue(torch::ones({2})),
      c10::IValue(c10::List<int64_t>({int64_t{1}, int64_t{2}})),
      c10::IValue(c10::List<double>()),
      c10::IValue(c10::List<at::Tensor>({torch::ones({2})})),
      c10::IValue(std::tuple<int64_t, double>(1, 2.0)),
  };
  int refused = 0;
  const auto check = [&](const std::string& bytes, const std::string& what) {
    SavedRun fixture(true);
    const std::string before = fixture.saved();
    const std::string message = fixture.load(bytes);
    if (message.empty()) return;  // the type that it should have
    ++refused;
    EXPECT_EQ(message.rfind("ivon: ", 0), 0U) << what << ": " << message;
    EXPECT_EQ(message.find("INTERNAL ASSERT"), std::string::npos) << what << ": " << message;
    EXPECT_EQ(fixture.saved(), before) << what;
  };
  for (const std::string& key : keys_of(good)) {
    check(tampered(good, key, [](OutputArchive&, const c10::IValue&) {}), key + " missing");
    check(tampered(good, key,
                   [&](OutputArchive& out, const c10::IValue&) {
                     OutputArchive nested(out.compilation_unit());
                     nested.write("x", c10::IValue(1.0));
                     out.write(key, nested);
                   }),
          key + " nested");
    for (size_t v = 0; v < values.size(); ++v) {
      check(with(good, key, values[v]), key + " as value " + std::to_string(v));
    }
  }
  EXPECT_GT(refused, 200);
}

TEST(DamagedArchives, WrongTypesSaySo) {
  const OneThread one_thread;
  const std::string good = SavedRun().saved();
  expect_damage_refused(
      with(good, "seed", c10::IValue("one")),
      "ivon: the archive's entry 'seed' must be an integer, got String; it is damaged");
  expect_damage_refused(
      with(good, "hess", c10::IValue(1.0)),
      "ivon: the archive's entry 'hess' must be a list, got Double; it is damaged");
  expect_damage_refused(
      with(good, "option_ess", c10::IValue(c10::List<double>({1.0}))),
      "ivon: the archive's entry 'option_ess' must have 3 values, got 1; it is damaged");
}

// --- the first format
// -----------------------------------------------------------------------------

std::string golden(const std::string& name) {
  return std::string(IVON_TEST_GOLDEN_DIR) + "/archives/" + name;
}

TEST(ArchivesOfTheFirstFormat, AreRead) {
  const OneThread one_thread;
  auto a = torch::zeros({3, 2}).requires_grad_();
  auto b = torch::zeros({4}, torch::kBFloat16).requires_grad_();
  auto c = torch::zeros({2}, torch::kDouble).requires_grad_();
  std::vector<OptimizerParamGroup> groups;
  groups.emplace_back(std::vector<torch::Tensor>{a, b});
  groups.emplace_back(std::vector<torch::Tensor>{c});
  IVON optimizer(groups, IVONOptions(1).ess(1));
  torch::load(optimizer, golden("version_1.pt"));
  std::vector<torch::Tensor> expected;
  torch::load(expected, golden("version_1_expected.pt"));
  size_t i = 0;
  for (const auto& parameter : {a, b, c}) {
    EXPECT_TRUE(same_bits(optimizer.mean(parameter), expected[i++]));
    EXPECT_TRUE(same_bits(optimizer.param_state(parameter).hess(), expected[i++]));
    EXPECT_TRUE(same_bits(optimizer.param_state(parameter).momentum(), expected[i++]));
    EXPECT_EQ(optimizer.param_state(parameter).step(), 3);
  }
  const auto& options = static_cast<IVONOptions&>(optimizer.param_groups()[1].options());
  EXPECT_EQ(options, IVONOptions(0.2).ess(1000).beta2(0.99).clip_radius(0.5).debias(false));
}

TEST(ArchivesOfTheFirstFormat, DamagedOnesAreRefused) {
  const OneThread one_thread;
  OutputArchive archive;
  OutputArchive root(archive.compilation_unit()), defaults(archive.compilation_unit());
  root.write("format_version", c10::IValue(int64_t{1}));
  root.write("noise_stream", c10::IValue(int64_t{1}));
  root.write("estimator", c10::IValue("price"));
  for (const char* key : {"seed", "training_draws", "prediction_draws", "skipped_elements"}) {
    root.write(key, c10::IValue(int64_t{0}));
  }
  IVONOptions(0.1).ess(100).serialize(defaults);
  root.write("defaults", defaults);
  root.write("groups", c10::IValue(int64_t{20'000'000'000'000}));
  archive.write(ivon::detail::kArchiveKey, root);
  std::stringstream out;
  archive.save_to(out);
  expect_damage_refused(out.str(), "ivon: the archive has no entry 'group_0'; it is damaged");
}

}  // namespace
