// SPDX-License-Identifier: Apache-2.0
// IVONOptions: accessors, inheritance of groups, validation with exact messages, archives.
#include <cmath>
#include <ivon/options.hpp>
#include <limits>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "option_values.hpp"
#include "pch.hpp"
#include "support.hpp"

namespace {

using ivon::IVONOptions;
using ivon_test::archive_of;
using ivon_test::message_of;

constexpr double kInf = std::numeric_limits<double>::infinity();
const double kNan = std::nan("");

c10::IValue value_of(torch::serialize::InputArchive& archive, const std::string& name) {
  c10::IValue value;
  archive.read(name, value);
  return value;
}

// An option that has no row, or whose default is another, fails.
TEST(Options, DefaultsAreThePapers) {
  auto archive = archive_of(IVONOptions());
  std::set<std::string> unknown;
  for (const std::string& name : archive.keys()) unknown.insert(name);
  for (const ivon_test::OptionRow& row : ivon_test::option_rows()) {
    ASSERT_EQ(unknown.erase(row.name), 1U) << row.name << " is no option";
    EXPECT_TRUE(value_of(archive, row.name) == row.by_default) << row.name;
  }
  EXPECT_THAT(unknown, ::testing::IsEmpty()) << "without a row in option_values.hpp";
}

TEST(Options, SettersChainAndReferencesWrite) {
  IVONOptions options = IVONOptions(0.2).ess(5e4).hess_init(0.5).betas({0.8, 0.999}).debias(false);
  EXPECT_EQ(options.lr(), 0.2);
  EXPECT_EQ(options.beta1(), 0.8);
  EXPECT_EQ(options.beta2(), 0.999);
  options.beta2(0.9999).beta1(0.7);
  EXPECT_EQ(options.betas(), std::make_tuple(0.7, 0.9999));
  options.ess() = 7;
  std::get<1>(options.betas()) = 0.5;
  EXPECT_EQ(options.ess(), 7);
  EXPECT_EQ(options.beta2(), 0.5);
  options.set_lr(0.25);
  EXPECT_EQ(options.get_lr(), 0.25);
}

TEST(Options, EqualityLooksAtValuesOnly) {
  EXPECT_EQ(IVONOptions(0.1), IVONOptions());
  EXPECT_EQ(IVONOptions().ess(1).debias(true), IVONOptions().ess(1));
  EXPECT_NE(IVONOptions().ess(1), IVONOptions().ess(2));
  EXPECT_NE(IVONOptions().beta2(0.9), IVONOptions());
}

TEST(Options, UnsetFieldsInheritTheOptimizers) {
  const IVONOptions defaults = IVONOptions(0.3).ess(1e3).weight_decay(0).beta1(0.5).beta2(0.6);
  IVONOptions group = IVONOptions().beta2(0.99999).debias(true).hess_init(0.1);
  group.inherit(defaults);
  EXPECT_EQ(group.lr(), 0.3);
  EXPECT_EQ(group.ess(), 1e3);
  EXPECT_EQ(group.weight_decay(), 0);
  EXPECT_EQ(group.beta1(), 0.5);
  EXPECT_EQ(group.beta2(), 0.99999) << "set to the class default is set";
  EXPECT_EQ(group.hess_init(), 0.1);
}

TEST(Options, AnExplicitLearningRateIsSet) {
  IVONOptions group(0.1);
  group.inherit(IVONOptions(0.3).ess(1));
  EXPECT_EQ(group.lr(), 0.1);
}

TEST(Options, WritesThroughReferencesCountAsSet) {
  IVONOptions group;
  group.weight_decay() = 0.5;
  std::get<0>(group.betas()) = 0.25;
  group.inherit(IVONOptions().ess(1).weight_decay(0.1).beta1(0.8));
  EXPECT_EQ(group.weight_decay(), 0.5);
  EXPECT_EQ(group.beta1(), 0.25);
}

TEST(Options, InheritanceIsFinal) {
  IVONOptions group;
  group.inherit(IVONOptions(0.3).ess(1));
  group.inherit(IVONOptions(0.7).ess(2));
  EXPECT_EQ(group.lr(), 0.3);
  EXPECT_EQ(group.ess(), 1);
}

// Each row: what is set wrongly and the whole message.
TEST(Options, EveryBadValueHasItsMessage) {
  const auto good = [] { return IVONOptions(0.1).ess(1e3); };
  const std::vector<std::pair<IVONOptions, std::string>> rows = {
      {good().lr(-0.5), "ivon: lr must be finite and >= 0, got -0.5; a good start is 0.1"},
      {good().lr(kInf), "ivon: lr must be finite and >= 0, got inf; a good start is 0.1"},
      {good().lr(kNan), "ivon: lr must be finite and >= 0, got nan; a good start is 0.1"},
      {IVONOptions(0.1),
       "ivon: ess must be > 0, got 0; set it to the number of training examples: "
       "ivon::IVONOptions::like_adamw(/*lr=*/1e-3, /*ess=*/60'000) trains with AdamW's learning "
       "rate and loop, "
       "ivon::IVONOptions(0.1).ess(60'000) with the paper's"},
      {good().ess(-1), "ivon: ess must be > 0, got -1; set it to the number of training examples"},
      {good().ess(kNan),
       "ivon: ess must be > 0, got nan; set it to the number of training examples"},
      {good().ess(kInf),
       "ivon: ess must be finite, got inf; set it to the number of training examples"},
      {good().hess_init(0), "ivon: hess_init must be finite and > 0, got 0; use 0.01 to 1"},
      {good().hess_init(-1), "ivon: hess_init must be finite and > 0, got -1; use 0.01 to 1"},
      {good().hess_init(kInf), "ivon: hess_init must be finite and > 0, got inf; use 0.01 to 1"},
      {good().hess_init(kNan), "ivon: hess_init must be finite and > 0, got nan; use 0.01 to 1"},
      {good().beta1(1), "ivon: beta1 must be in [0, 1), got 1; the usual value is 0.9"},
      {good().beta1(-0.1), "ivon: beta1 must be in [0, 1), got -0.1; the usual value is 0.9"},
      {good().beta1(kNan), "ivon: beta1 must be in [0, 1), got nan; the usual value is 0.9"},
      {good().beta2(1.5), "ivon: beta2 must be in [0, 1], got 1.5; the usual value is 0.99999"},
      {good().beta2(-0.1), "ivon: beta2 must be in [0, 1], got -0.1; the usual value is 0.99999"},
      {good().beta2(kNan), "ivon: beta2 must be in [0, 1], got nan; the usual value is 0.99999"},
      {good().weight_decay(-1),
       "ivon: weight_decay must be finite and >= 0, got -1; the default is 1e-4"},
      {good().weight_decay(kInf),
       "ivon: weight_decay must be finite and >= 0, got inf; the default is 1e-4"},
      {good().weight_decay(kNan),
       "ivon: weight_decay must be finite and >= 0, got nan; the default is 1e-4"},
      {good().clip_radius(0),
       "ivon: clip_radius must be > 0, got 0; infinity switches clipping off"},
      {good().clip_radius(kNan),
       "ivon: clip_radius must be > 0, got nan; infinity switches clipping off"},
      {good().hess_clip(-2), "ivon: hess_clip must be > 0, got -2; infinity switches clipping off"},
      {good().hess_clip(kNan),
       "ivon: hess_clip must be > 0, got nan; infinity switches clipping off"},
      {good().mc_samples(0), "ivon: mc_samples must be >= 1, got 0; the usual value is 1"},
  };
  for (const auto& [options, message] : rows) {
    EXPECT_EQ(message_of([&o = options] { o.validate(); }), message);
  }
  EXPECT_EQ(message_of([&] { good().lr(0).beta1(0).beta2(1).weight_decay(0).validate(); }), "");
  EXPECT_EQ(message_of([&] { good().lr(-1).validate("parameter group 1: "); }),
            "ivon: parameter group 1: lr must be finite and >= 0, got -1; a good start is 0.1");
}

// Another value than the default, for an option of any type.
c10::IValue changed(const c10::IValue& value) {
  if (value.isBool()) return !value.toBool();
  if (value.isInt()) return value.toInt() + 3;
  return std::isfinite(value.toDouble()) ? value.toDouble() / 2 + 0.125 : 0.5;
}

TEST(Options, ArchiveKeepsEveryField) {
  auto defaults = archive_of(IVONOptions());
  torch::serialize::OutputArchive out;
  std::map<std::string, c10::IValue> written;
  for (const std::string& name : defaults.keys()) {
    written[name] = changed(value_of(defaults, name));
    out.write(name, written[name]);
  }
  std::stringstream stream;
  out.save_to(stream);
  torch::serialize::InputArchive in;
  in.load_from(stream);
  IVONOptions loaded;
  loaded.serialize(in);
  auto read = archive_of(loaded);
  for (const auto& [name, value] : written) {
    EXPECT_TRUE(value_of(read, name) == value) << name;
  }
  EXPECT_EQ(loaded.lr(), 0.175);
  EXPECT_TRUE(loaded.capturable());
  EXPECT_NE(loaded, IVONOptions());
  const torch::optim::OptimizerOptions& base = loaded;
  EXPECT_EQ(*static_cast<const IVONOptions*>(base.clone().get()), loaded);
  // All of them count as set now.
  loaded.inherit(IVONOptions(7).ess(7).hess_init(7));
  EXPECT_EQ(loaded.hess_init(), 0.625);
}

TEST(Options, ArchivesWithoutAField) {
  auto all = archive_of(IVONOptions(0.3).ess(5).capturable(true));
  for (const std::string& missing : all.keys()) {
    torch::serialize::OutputArchive out;
    for (const std::string& name : all.keys()) {
      if (name != missing) out.write(name, value_of(all, name));
    }
    std::stringstream stream;
    out.save_to(stream);
    torch::serialize::InputArchive in;
    in.load_from(stream);
    IVONOptions loaded;
    const std::string message = message_of([&] { loaded.serialize(in); });
    // The first archives had none of these options.
    const std::set<std::string> younger = {"capturable", "damping", "eps", "noise_max",
                                           "decoupled_weight_decay"};
    if (younger.count(missing) != 0) {
      EXPECT_EQ(message, "");
      EXPECT_FALSE(loaded.capturable() && missing == "capturable");
      EXPECT_EQ(loaded.ess(), 5);
    } else {
      EXPECT_EQ(message, "ivon: the archive has no option '" + missing + "'; it is damaged");
    }
  }
}

}  // namespace
