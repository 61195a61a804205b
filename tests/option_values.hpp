// SPDX-License-Identifier: Apache-2.0
// What tests know of each option: its default, written by hand, and another value of it. A new
// option needs a row here; the tests that go through the rows fail where one is missing.
#pragma once

#include <torch/serialize/archive.h>

#include <ivon/options.hpp>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

namespace ivon_test {

struct OptionRow {
  std::string name;
  c10::IValue by_default;
  // Sets the option to a value that changes an update from group_options() on; null where all
  // groups of an optimizer must have the same value.
  void (*change)(ivon::IVONOptions&);
};

// Options with which every option of the update has an effect.
inline ivon::IVONOptions group_options() {
  return ivon::IVONOptions(0.25).ess(1000).hess_init(0.1).beta2(0.99).clip_radius(0.5).hess_clip(
      0.5);
}

inline std::vector<OptionRow> option_rows() {
  using ivon::IVONOptions;
  constexpr double kInf = std::numeric_limits<double>::infinity();
  return {{"lr", 0.1, [](IVONOptions& o) { o.lr(0.5); }},
          {"ess", 0.0, [](IVONOptions& o) { o.ess(10); }},
          {"hess_init", 1.0, [](IVONOptions& o) { o.hess_init(0.3); }},
          {"beta1", 0.9, [](IVONOptions& o) { o.beta1(0.5); }},
          {"beta2", 0.99999, [](IVONOptions& o) { o.beta2(0.5); }},
          {"weight_decay", 1e-4, [](IVONOptions& o) { o.weight_decay(0.1); }},
          {"clip_radius", kInf, [](IVONOptions& o) { o.clip_radius(0.1); }},
          {"hess_clip", kInf, [](IVONOptions& o) { o.hess_clip(0.1); }},
          {"damping", 0.0, [](IVONOptions& o) { o.damping(2); }},
          // It has an effect with damping and a small gradient only.
          {"eps", 1e-8, [](IVONOptions& o) { o.damping(2).eps(100); }},
          {"noise_max", kInf, [](IVONOptions& o) { o.noise_max(1e-3); }},
          {"decoupled_weight_decay", 0.0, [](IVONOptions& o) { o.decoupled_weight_decay(0.1); }},
          {"debias", true, [](IVONOptions& o) { o.debias(false); }},
          {"rescale_lr", true, [](IVONOptions& o) { o.rescale_lr(false); }},
          {"mc_samples", int64_t{1}, nullptr},
          {"sample_on_step", false, nullptr},
          {"capturable", false, nullptr}};
}

// The options as their archive holds them: every option by its name.
inline torch::serialize::InputArchive archive_of(const ivon::IVONOptions& options) {
  torch::serialize::OutputArchive out;
  options.serialize(out);
  std::stringstream stream;
  out.save_to(stream);
  torch::serialize::InputArchive in;
  in.load_from(stream);
  return in;
}

}  // namespace ivon_test
