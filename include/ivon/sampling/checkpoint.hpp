// SPDX-License-Identifier: Apache-2.0
// Writes an optimizer to an archive and reads it back. An archive is read and checked as a whole
// before the optimizer is changed.
//
// All entries lie in one nested archive, so that model.save(archive) and optimizer.save(archive)
// can write to one file, whatever names the model's parameters have.
#pragma once

#include <c10/util/Exception.h>
#include <torch/serialize/archive.h>

#include <cstdint>
#include <ivon/noise.hpp>
#include <ivon/options.hpp>
#include <ivon/sampling/parameter_checks.hpp>
#include <ivon/state.hpp>
#include <ivon/values/archive_values.hpp>
#include <ivon/version.hpp>
#include <optional>
#include <string>
#include <vector>

IVON_NAMESPACE_BEGIN
namespace detail {

inline constexpr const char* kArchiveKey = "ivon_optimizer";
// write() writes version 2, or 3 if a parameter has a prior of its own, so that a library that does
// not know such priors refuses the archive. Version 1 can be read, too.
inline constexpr int64_t kFormatVersion = 3;
inline constexpr int64_t kFormatWithoutPriors = 2;

struct Checkpoint {
  struct Parameter {
    std::vector<int64_t> sizes;
    std::string dtype;  // dtype of the parameter, as text
    std::optional<IVONParamState> state;
    at::Tensor module_mean;  // in the parameter's dtype; only if the module showed a sample
  };
  struct Group {
    IVONOptions options;
    std::vector<Parameter> parameters;  // without repetitions, in the group's order
  };

  std::string estimator;
  NoiseStream noise;
  int64_t skipped = 0;
  IVONOptions defaults;
  std::vector<Group> groups;

  /// Writes one list for each kind of value, over all groups or parameters, so that time and size
  /// are linear in their number.
  void write(torch::serialize::OutputArchive& archive) const;
  /// Throws if the archive does not hold a complete IVON optimizer.
  static Checkpoint read(torch::serialize::InputArchive& archive);
  /// Throws if the checkpoint was written for another estimator or for other parameters. `wanted`
  /// has one list for each group.
  void check_fits(const char* wanted_estimator,
                  const std::vector<std::vector<ParameterRef>>& wanted) const;

 private:
  bool any_prior() const;
  void write_priors(torch::serialize::OutputArchive& root) const;
  void read_priors(torch::serialize::InputArchive& root);
  void read_lists(torch::serialize::InputArchive& root);
  void read_nested_format(torch::serialize::InputArchive& root);  // reads format version 1
};

inline void Checkpoint::write(torch::serialize::OutputArchive& archive) const {
  torch::serialize::OutputArchive root(archive.compilation_unit());
  root.write("format_version", c10::IValue(any_prior() ? kFormatVersion : kFormatWithoutPriors));
  root.write("noise_stream", c10::IValue(noise.stream));
  root.write("cuda_noise_stream", c10::IValue(kCudaNoiseStreamId));
  root.write("estimator", c10::IValue(estimator));
  root.write("seed", c10::IValue(static_cast<int64_t>(noise.seed)));
  root.write("training_draws", c10::IValue(static_cast<int64_t>(noise.training_draws)));
  root.write("prediction_draws", c10::IValue(static_cast<int64_t>(noise.prediction_draws)));
  root.write("skipped_elements", c10::IValue(skipped));

  std::vector<const IVONOptions*> options = {&defaults};
  std::vector<int64_t> group_sizes, dimensions, sizes, steps;  // a step of -1 means no state
  c10::List<std::string> dtypes;
  c10::List<bool> has_wide_mean, has_module_mean;
  c10::List<at::Tensor> hess, momentum, wide_mean, module_mean;  // only of parameters that have one
  for (const Group& group : groups) {
    options.push_back(&group.options);
    group_sizes.push_back(static_cast<int64_t>(group.parameters.size()));
    for (const Parameter& parameter : group.parameters) {
      dimensions.push_back(static_cast<int64_t>(parameter.sizes.size()));
      sizes.insert(sizes.end(), parameter.sizes.begin(), parameter.sizes.end());
      dtypes.push_back(parameter.dtype);
      const auto& state = parameter.state;
      steps.push_back(state ? state->step() : -1);
      if (state) hess.push_back(state->hess());
      if (state) momentum.push_back(state->momentum());
      has_wide_mean.push_back(state && state->mean().defined());
      if (has_wide_mean.get(has_wide_mean.size() - 1)) wide_mean.push_back(state->mean());
      has_module_mean.push_back(parameter.module_mean.defined());
      if (parameter.module_mean.defined()) module_mean.push_back(parameter.module_mean);
    }
  }
  IVONOptions::write_list(root, options);
  root.write("group_sizes", c10::IValue(std::move(group_sizes)));
  root.write("dimensions", c10::IValue(std::move(dimensions)));
  root.write("sizes", c10::IValue(std::move(sizes)));
  root.write("dtypes", c10::IValue(std::move(dtypes)));
  root.write("steps", c10::IValue(std::move(steps)));
  root.write("hess", c10::IValue(std::move(hess)));
  root.write("momentum", c10::IValue(std::move(momentum)));
  root.write("has_mean", c10::IValue(std::move(has_wide_mean)));
  root.write("mean", c10::IValue(std::move(wide_mean)));
  root.write("has_module_mean", c10::IValue(std::move(has_module_mean)));
  root.write("module_mean", c10::IValue(std::move(module_mean)));
  if (any_prior()) write_priors(root);
  archive.write(kArchiveKey, root);
}

/// Opens what write() wrote; `format` becomes its format version. Throws if this library cannot
/// read it.
inline torch::serialize::InputArchive read_root(torch::serialize::InputArchive& archive,
                                                int64_t& format) {
  torch::serialize::InputArchive root;
  if (!archive.try_read(kArchiveKey, root)) {
    torch::serialize::InputArchive other;
    TORCH_CHECK(
        !archive.try_read("param_groups", other),
        "ivon: the archive holds another optimizer (torch::optim's layout), whose state says "
        "nothing about a posterior; load the model's weights and start IVON afresh");
    TORCH_CHECK(false,
                "ivon: the archive holds no IVON optimizer; load a file that "
                "torch::save(optimizer, ...) or optimizer.save(archive) wrote");
  }
  format = read_value<int64_t>(root, "format_version");
  TORCH_CHECK(format >= 1, "ivon: the archive has format version ", format, "; it is damaged");
  TORCH_CHECK(format <= kFormatVersion, "ivon: the archive has format version ", format,
              ", this library reads up to ", kFormatVersion, "; update ivon");
  const auto check_stream = [](bool known, const char* devices, int64_t stream, int64_t own) {
    TORCH_CHECK(
        known, "ivon: the archive was written with noise stream ", stream, devices,
        ", this library draws stream ", own,
        "; a resumed run could not be the uninterrupted one, use the version that wrote it");
  };
  const auto stream = read_value<int64_t>(root, "noise_stream");
  check_stream(stream == kNoiseStreamId || stream == kFirstNoiseStreamId, "", stream,
               kNoiseStreamId);
  c10::IValue stored_cuda_stream;  // the first archives lack it
  if (root.try_read("cuda_noise_stream", stored_cuda_stream)) {
    const auto cuda_stream = value_of<int64_t>(stored_cuda_stream, "cuda_noise_stream");
    check_stream(cuda_stream == kCudaNoiseStreamId, " for CUDA devices", cuda_stream,
                 kCudaNoiseStreamId);
  }
  return root;
}

inline int64_t read_counter(torch::serialize::InputArchive& root, const char* key) {
  const auto value = read_value<int64_t>(root, key);
  TORCH_CHECK(value >= 0, "ivon: the archive's ", key, " must be >= 0, got ", value,
              "; it is damaged");
  return value;
}

inline Checkpoint Checkpoint::read(torch::serialize::InputArchive& archive) {
  int64_t format = 0;
  torch::serialize::InputArchive root = read_root(archive, format);
  Checkpoint checkpoint;
  checkpoint.estimator = read_value<std::string>(root, "estimator");
  checkpoint.noise = {static_cast<uint64_t>(read_value<int64_t>(root, "seed")),
                      static_cast<uint64_t>(read_counter(root, "training_draws")),
                      static_cast<uint64_t>(read_counter(root, "prediction_draws")),
                      read_value<int64_t>(root, "noise_stream")};
  checkpoint.skipped = read_counter(root, "skipped_elements");
  if (format == 1) {
    checkpoint.read_nested_format(root);
  } else {
    checkpoint.read_lists(root);
  }
  if (format > kFormatWithoutPriors) checkpoint.read_priors(root);
  checkpoint.defaults.validate("the archive's defaults: ");
  for (size_t g = 0; g < checkpoint.groups.size(); ++g) {
    const std::string where = "the archive's parameter group " + std::to_string(g) + ": ";
    const IVONOptions& options = checkpoint.groups[g].options;
    options.validate(where);
    TORCH_CHECK(options.mc_samples() == checkpoint.defaults.mc_samples(), "ivon: ", where,
                "mc_samples must be the optimizer's ", checkpoint.defaults.mc_samples(), ", got ",
                options.mc_samples(), "; it is damaged");
  }
  return checkpoint;
}

/// Returns the values of a list in an archive one after the other.
class ListReader {
 public:
  ListReader(torch::serialize::InputArchive& root, const char* key)
      : key_(key), values_(read_list(root, key)) {}

  size_t size() const { return values_.size(); }
  bool at_end() const { return next_ == values_.size(); }
  template <class Value>
  Value next() {
    TORCH_CHECK(!at_end(), "ivon: the archive's list '", key_, "' is too short; it is damaged");
    return value_of<Value>(values_.get(next_++), key_);
  }
  void check_at_end() const {
    TORCH_CHECK(at_end(), "ivon: the archive's list '", key_, "' is too long; it is damaged");
  }

 private:
  const char* key_;
  c10::List<c10::IValue> values_;
  size_t next_ = 0;
};

inline void Checkpoint::read_lists(torch::serialize::InputArchive& root) {
  ListReader group_sizes(root, "group_sizes"), dimensions(root, "dimensions"), sizes(root, "sizes"),
      dtypes(root, "dtypes"), steps(root, "steps"), hess(root, "hess"), momentum(root, "momentum"),
      has_wide_mean(root, "has_mean"), wide_mean(root, "mean"),
      has_module_mean(root, "has_module_mean"), module_mean(root, "module_mean");
  std::vector<IVONOptions> options = IVONOptions::read_list(root, group_sizes.size() + 1);
  defaults = options[0];
  while (!group_sizes.at_end()) {
    Group& group = groups.emplace_back();
    group.options = options[groups.size()];
    for (auto left = group_sizes.next<int64_t>(); left > 0; --left) {
      Parameter& parameter = group.parameters.emplace_back();
      for (auto dims = dimensions.next<int64_t>(); dims > 0; --dims) {
        parameter.sizes.push_back(sizes.next<int64_t>());
      }
      parameter.dtype = dtypes.next<std::string>();
      const bool has_mean = has_wide_mean.next<bool>();
      if (const auto step = steps.next<int64_t>(); step != -1) {
        IVONParamState& state = parameter.state.emplace();
        state.step(step).hess(hess.next<at::Tensor>()).momentum(momentum.next<at::Tensor>());
        if (has_mean) state.mean(wide_mean.next<at::Tensor>());
      }
      if (has_module_mean.next<bool>()) parameter.module_mean = module_mean.next<at::Tensor>();
    }
  }
  for (const ListReader* list : {&dimensions, &sizes, &dtypes, &steps, &hess, &momentum,
                                 &has_wide_mean, &wide_mean, &has_module_mean, &module_mean}) {
    list->check_at_end();
  }
}

inline bool Checkpoint::any_prior() const {
  for (const Group& group : groups) {
    for (const Parameter& parameter : group.parameters) {
      if (parameter.state && parameter.state->prior_precision().defined()) return true;
    }
  }
  return false;
}

// One entry for each parameter with a state: whether it has a prior, and whether the prior has a
// mean. The tensors are only those that are there.
inline void Checkpoint::write_priors(torch::serialize::OutputArchive& root) const {
  c10::List<bool> has_prior, has_mean;
  c10::List<at::Tensor> precisions, means;
  for (const Group& group : groups) {
    for (const Parameter& parameter : group.parameters) {
      if (!parameter.state) continue;
      const at::Tensor& precision = parameter.state->prior_precision();
      const at::Tensor& mean = parameter.state->prior_mean();
      has_prior.push_back(precision.defined());
      has_mean.push_back(mean.defined());
      if (precision.defined()) precisions.push_back(precision);
      if (mean.defined()) means.push_back(mean);
    }
  }
  root.write("has_prior", c10::IValue(std::move(has_prior)));
  root.write("has_prior_mean", c10::IValue(std::move(has_mean)));
  root.write("prior_precision", c10::IValue(std::move(precisions)));
  root.write("prior_mean", c10::IValue(std::move(means)));
}

inline void Checkpoint::read_priors(torch::serialize::InputArchive& root) {
  ListReader has_prior(root, "has_prior"), has_mean(root, "has_prior_mean"),
      precisions(root, "prior_precision"), means(root, "prior_mean");
  for (Group& group : groups) {
    for (Parameter& parameter : group.parameters) {
      if (!parameter.state) continue;
      if (has_prior.next<bool>()) parameter.state->prior_precision(precisions.next<at::Tensor>());
      if (has_mean.next<bool>()) parameter.state->prior_mean(means.next<at::Tensor>());
    }
  }
  for (const ListReader* list : {&has_prior, &has_mean, &precisions, &means}) {
    list->check_at_end();
  }
}

inline std::string numbered(const char* name, size_t number) {
  return name + std::to_string(number);
}

inline torch::serialize::InputArchive read_nested(torch::serialize::InputArchive& archive,
                                                  const std::string& key) {
  torch::serialize::InputArchive nested;
  TORCH_CHECK(archive.try_read(key, nested), "ivon: the archive has no entry '", key,
              "'; it is damaged");
  return nested;
}

// Reads format version 1, which has a nested archive for each group and each parameter.
inline void Checkpoint::read_nested_format(torch::serialize::InputArchive& root) {
  auto default_options = read_nested(root, "defaults");
  defaults.serialize(default_options);
  const auto group_count = read_value<int64_t>(root, "groups");
  for (int64_t g = 0; g < group_count; ++g) {
    auto nested = read_nested(root, numbered("group_", static_cast<size_t>(g)));
    Group& group = groups.emplace_back();
    auto options = read_nested(nested, "options");
    group.options.serialize(options);
    const auto count = read_value<int64_t>(nested, "parameters");
    for (int64_t p = 0; p < count; ++p) {
      auto entry = read_nested(nested, numbered("parameter_", static_cast<size_t>(p)));
      Parameter& parameter = group.parameters.emplace_back();
      parameter.sizes = read_value<std::vector<int64_t>>(entry, "sizes");
      parameter.dtype = read_value<std::string>(entry, "dtype");
      if (read_value<bool>(entry, "has_state")) parameter.state.emplace().serialize(entry);
      c10::IValue module_mean;
      if (entry.try_read("module_mean", module_mean)) {
        parameter.module_mean = value_of<at::Tensor>(module_mean, "module_mean");
      }
    }
  }
}

/// Throws if a tensor of the archive does not have the parameter's shape and the given dtype, or is
/// not finite.
inline void check_stored(const char* name, const at::Tensor& tensor, const ParameterRef& ref,
                         at::ScalarType dtype) {
  TORCH_CHECK(tensor.defined() && tensor.layout() == at::kStrided && !tensor.is_meta() &&
                  tensor.sizes() == ref.tensor.sizes() && tensor.scalar_type() == dtype,
              "ivon: the archive's ", name, " does not belong to ", ref.describe(),
              "; it is damaged");
  TORCH_CHECK(tensor.isfinite().all().item<bool>(), "ivon: the archive's ", name, " of ",
              ref.describe(), " must be finite; it is damaged");
}

/// Throws if the prior in a state, if there is one, does not belong to the parameter.
inline void check_prior(const IVONParamState& state, const ParameterRef& ref,
                        at::ScalarType dtype) {
  const at::Tensor& precision = state.prior_precision();
  if (state.prior_mean().defined()) check_stored("prior_mean", state.prior_mean(), ref, dtype);
  if (!precision.defined()) return;
  check_stored("prior_precision",
               precision.dim() == 0 ? precision.expand_as(ref.tensor) : precision, ref, dtype);
  TORCH_CHECK((precision > 0).all().item<bool>(), "ivon: the archive's prior_precision of ",
              ref.describe(), " must be > 0; it is damaged");
}

inline void Checkpoint::check_fits(const char* wanted_estimator,
                                   const std::vector<std::vector<ParameterRef>>& wanted) const {
  TORCH_CHECK(estimator == wanted_estimator, "ivon: the archive was written with estimator '",
              estimator, "', this optimizer has '", wanted_estimator,
              "'; construct the one that was saved");
  TORCH_CHECK(groups.size() == wanted.size(), "ivon: the archive holds ", groups.size(),
              " parameter groups, this optimizer has ", wanted.size(),
              "; build it with the groups that were saved");
  for (size_t g = 0; g < groups.size(); ++g) {
    TORCH_CHECK(groups[g].parameters.size() == wanted[g].size(),
                "ivon: the archive's parameter group ", g, " holds ", groups[g].parameters.size(),
                " parameters, this optimizer's ", wanted[g].size(),
                "; build it from the model that was saved");
    for (size_t p = 0; p < wanted[g].size(); ++p) {
      const Parameter& stored = groups[g].parameters[p];
      const ParameterRef& ref = wanted[g][p];
      const char* dtype = c10::toString(ref.tensor.scalar_type());
      TORCH_CHECK(ref.tensor.sizes() == stored.sizes && dtype == stored.dtype,
                  "ivon: the archive holds ", c10::IntArrayRef(stored.sizes), " in ", stored.dtype,
                  " for ", ref.describe(), " in ", dtype,
                  "; build it from the model that was saved");
      const at::ScalarType state = state_dtype(ref.tensor);
      if (stored.module_mean.defined()) {
        check_stored("mean", stored.module_mean, ref, ref.tensor.scalar_type());
      }
      if (!stored.state) continue;
      check_stored("hess", stored.state->hess(), ref, state);
      check_stored("momentum", stored.state->momentum(), ref, state);
      if (is_half(ref.tensor.scalar_type())) check_stored("mean", stored.state->mean(), ref, state);
      check_prior(*stored.state, ref, state);
      constexpr int64_t kMostSteps = int64_t{1} << 53;
      TORCH_CHECK(stored.state->step() >= 0 && stored.state->step() < kMostSteps,
                  "ivon: the archive's step of ", ref.describe(), " must be >= 0 and < 2^53, got ",
                  stored.state->step(), "; it is damaged");
    }
  }
}

}  // namespace detail
IVON_NAMESPACE_END
