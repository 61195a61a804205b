// SPDX-License-Identifier: Apache-2.0
// An optimizer as an archive holds it: read whole and checked before anything is changed.
//
// Everything lies under one nested archive, so that model.save(archive) and optimizer.save(archive)
// can go into one file whatever the model's parameters are called.
#pragma once

#include <c10/util/Exception.h>
#include <torch/serialize/archive.h>

#include <cstdint>
#include <ivon/detail/parameter_checks.hpp>
#include <ivon/noise.hpp>
#include <ivon/options.hpp>
#include <ivon/state.hpp>
#include <ivon/version.hpp>
#include <optional>
#include <string>
#include <vector>

IVON_NAMESPACE_BEGIN
namespace detail {

inline constexpr const char* kArchiveKey = "ivon_optimizer";
inline constexpr int64_t kFormatVersion = 1;  // of the keys below

struct Checkpoint {
  struct Parameter {
    std::vector<int64_t> sizes;
    std::string dtype;  // of the parameter
    std::optional<IVONParamState> state;
    at::Tensor module_mean;  // what the module would hold, if it showed a sample (sample_on_step)
  };
  struct Group {
    IVONOptions options;
    std::vector<Parameter> parameters;  // distinct ones, in order
  };

  std::string estimator;
  NoiseStream noise;
  int64_t skipped = 0;
  IVONOptions defaults;
  std::vector<Group> groups;

  void write(torch::serialize::OutputArchive& archive) const;
  /// Throws a clear error where the archive is no complete IVON archive.
  static Checkpoint read(torch::serialize::InputArchive& archive);
  /// Throws where the checkpoint is not of this estimator and these parameters (one list a group).
  void check_fits(const char* wanted_estimator,
                  const std::vector<std::vector<ParameterRef>>& wanted) const;
};

inline std::string numbered(const char* name, size_t number) {
  return name + std::to_string(number);
}

inline c10::IValue read_value(torch::serialize::InputArchive& archive, const std::string& key) {
  c10::IValue value;
  TORCH_CHECK(archive.try_read(key, value), "ivon: the archive has no entry '", key,
              "'; it is damaged");
  return value;
}

inline torch::serialize::InputArchive read_nested(torch::serialize::InputArchive& archive,
                                                  const std::string& key) {
  torch::serialize::InputArchive nested;
  TORCH_CHECK(archive.try_read(key, nested), "ivon: the archive has no entry '", key,
              "'; it is damaged");
  return nested;
}

inline void Checkpoint::write(torch::serialize::OutputArchive& archive) const {
  torch::serialize::OutputArchive root(archive.compilation_unit());
  root.write("format_version", c10::IValue(kFormatVersion));
  root.write("noise_stream", c10::IValue(kNoiseStreamId));
  root.write("cuda_noise_stream", c10::IValue(kCudaNoiseStreamId));
  root.write("estimator", c10::IValue(estimator));
  root.write("seed", c10::IValue(static_cast<int64_t>(noise.seed)));
  root.write("training_draws", c10::IValue(static_cast<int64_t>(noise.training_draws)));
  root.write("prediction_draws", c10::IValue(static_cast<int64_t>(noise.prediction_draws)));
  root.write("skipped_elements", c10::IValue(skipped));
  torch::serialize::OutputArchive default_options(archive.compilation_unit());
  defaults.serialize(default_options);
  root.write("defaults", default_options);
  root.write("groups", c10::IValue(static_cast<int64_t>(groups.size())));
  for (size_t g = 0; g < groups.size(); ++g) {
    torch::serialize::OutputArchive group(archive.compilation_unit());
    torch::serialize::OutputArchive options(archive.compilation_unit());
    groups[g].options.serialize(options);
    group.write("options", options);
    group.write("parameters", c10::IValue(static_cast<int64_t>(groups[g].parameters.size())));
    for (size_t p = 0; p < groups[g].parameters.size(); ++p) {
      const Parameter& parameter = groups[g].parameters[p];
      torch::serialize::OutputArchive entry(archive.compilation_unit());
      entry.write("sizes", c10::IValue(parameter.sizes));
      entry.write("dtype", c10::IValue(parameter.dtype));
      entry.write("has_state", c10::IValue(parameter.state.has_value()));
      if (parameter.state) parameter.state->serialize(entry);
      if (parameter.module_mean.defined()) {
        entry.write("module_mean", parameter.module_mean, /*is_buffer=*/true);
      }
      group.write(numbered("parameter_", p), entry);
    }
    root.write(numbered("group_", g), group);
  }
  archive.write(kArchiveKey, root);
}

inline torch::serialize::InputArchive read_root(torch::serialize::InputArchive& archive) {
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
  const int64_t format = read_value(root, "format_version").toInt();
  TORCH_CHECK(format <= kFormatVersion, "ivon: the archive has format version ", format,
              ", this library reads up to ", kFormatVersion, "; update ivon");
  const auto check_stream = [](const char* devices, int64_t stream, int64_t own) {
    TORCH_CHECK(
        stream == own, "ivon: the archive was written with noise stream ", stream, devices,
        ", this library draws stream ", own,
        "; a resumed run could not be the uninterrupted one, use the version that wrote it");
  };
  check_stream("", read_value(root, "noise_stream").toInt(), kNoiseStreamId);
  c10::IValue cuda_stream;  // archives of before there was one lack it
  if (root.try_read("cuda_noise_stream", cuda_stream)) {
    check_stream(" for CUDA devices", cuda_stream.toInt(), kCudaNoiseStreamId);
  }
  return root;
}

inline Checkpoint Checkpoint::read(torch::serialize::InputArchive& archive) {
  torch::serialize::InputArchive root = read_root(archive);
  Checkpoint checkpoint;
  const auto unsigned_value = [&](const char* key) {
    return static_cast<uint64_t>(read_value(root, key).toInt());
  };
  checkpoint.estimator = read_value(root, "estimator").toStringRef();
  checkpoint.noise = {unsigned_value("seed"), unsigned_value("training_draws"),
                      unsigned_value("prediction_draws")};
  checkpoint.skipped = read_value(root, "skipped_elements").toInt();
  auto default_options = read_nested(root, "defaults");
  checkpoint.defaults.serialize(default_options);
  checkpoint.defaults.validate("the archive's defaults: ");
  checkpoint.groups.resize(unsigned_value("groups"));
  for (size_t g = 0; g < checkpoint.groups.size(); ++g) {
    auto group = read_nested(root, numbered("group_", g));
    auto options = read_nested(group, "options");
    checkpoint.groups[g].options.serialize(options);
    checkpoint.groups[g].options.validate("the archive's parameter group " + std::to_string(g) +
                                          ": ");
    const int64_t count = read_value(group, "parameters").toInt();
    for (int64_t p = 0; p < count; ++p) {
      auto entry = read_nested(group, numbered("parameter_", static_cast<size_t>(p)));
      Parameter parameter{read_value(entry, "sizes").toIntVector(),
                          read_value(entry, "dtype").toStringRef(),
                          std::nullopt,
                          {}};
      if (read_value(entry, "has_state").toBool()) parameter.state.emplace().serialize(entry);
      entry.try_read("module_mean", parameter.module_mean, /*is_buffer=*/true);
      checkpoint.groups[g].parameters.push_back(std::move(parameter));
    }
  }
  return checkpoint;
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
      TORCH_CHECK(!stored.module_mean.defined() ||
                      (stored.module_mean.sizes() == stored.sizes &&
                       stored.module_mean.scalar_type() == ref.tensor.scalar_type()),
                  "ivon: the archive's mean does not belong to ", ref.describe(),
                  "; it is damaged");
      if (!stored.state) continue;
      const auto check_tensor = [&](const char* name, const at::Tensor& tensor) {
        TORCH_CHECK(tensor.defined() && tensor.sizes() == ref.tensor.sizes() &&
                        tensor.scalar_type() == state_dtype(ref.tensor),
                    "ivon: the archive's ", name, " does not belong to ", ref.describe(),
                    "; it is damaged");
      };
      check_tensor("hess", stored.state->hess());
      check_tensor("momentum", stored.state->momentum());
      if (is_half(ref.tensor.scalar_type())) check_tensor("mean", stored.state->mean());
    }
  }
}

}  // namespace detail
IVON_NAMESPACE_END
