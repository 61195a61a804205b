// SPDX-License-Identifier: Apache-2.0
// Connects a posterior with a module, in which it then shows samples and the mean.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <ivon/dispatch/passes.hpp>
#include <ivon/dispatch/plain_tensors.hpp>
#include <ivon/posterior/internal/module_parameters.hpp>
#include <ivon/posterior/posterior_parameter.hpp>
#include <ivon/sampled_params.hpp>
#include <ivon/sampling/sampling_core.hpp>
#include <ivon/version.hpp>
#include <memory>
#include <sstream>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN
namespace detail {

/// Shows values in the parameters of one module, and lets the module hold again what it held before
/// when the guard ends. Needs one buffer of the module's size, which it keeps from sample to
/// sample.
class BoundModule {
 public:
  /// A parameter of the module, and its mean and precision on the parameter's device, float64 for a
  /// float64 parameter and float32 for every other one.
  struct Entry {
    ParameterSlot* slot;
    at::Tensor mean, precision;
    const at::Tensor& parameter() const { return slot->ref.tensor; }
  };

  /// Throws c10::Error with a list of all differences if names or shapes do not fit.
  BoundModule(const std::vector<PosteriorParameter>& posterior,
              const std::vector<std::string>& left_out,
              const std::vector<ModuleParameter>& module) {
    std::unordered_map<std::string, size_t> places;
    for (size_t i = 0; i < posterior.size(); ++i) places.emplace(posterior[i].name, i);
    const std::unordered_set<std::string> ignored(left_out.begin(), left_out.end());
    std::vector<bool> met(posterior.size(), false);
    std::ostringstream differences;
    std::vector<ParameterRef> refs;
    for (const ModuleParameter& parameter : module) {
      const auto name = std::find_if(parameter.names.begin(), parameter.names.end(),
                                     [&](const std::string& n) { return places.count(n) > 0; });
      if (name == parameter.names.end()) {
        if (ignored.count(parameter.names.front()) == 0) {
          differences << "\n  " << parameter.names.front() << ": not in the posterior";
        }
        continue;
      }
      const size_t place = places[*name];
      met[place] = true;
      const PosteriorParameter& ours = posterior[place];
      if (ours.mean.sizes() != parameter.tensor.sizes()) {
        differences << "\n  " << *name << ": shape " << ours.mean.sizes() << " in the posterior, "
                    << parameter.tensor.sizes() << " in the module";
        continue;
      }
      refs.push_back({parameter.tensor, 0, static_cast<int64_t>(place), refs.size()});
      check_parameter(refs.back());
      entries_.push_back({nullptr, in_form_of(parameter.tensor, ours.mean),
                          in_form_of(parameter.tensor, ours.precision)});
    }
    for (size_t i = 0; i < posterior.size(); ++i) {
      if (!met[i]) differences << "\n  " << posterior[i].name << ": not in the module";
    }
    TORCH_CHECK(differences.str().empty(),
                "ivon: the posterior must have the names and shapes of "
                "the module, but they differ:",
                differences.str(), "\nPass the module that it was made for.");
    core_->parameters().list(std::move(refs), {});
    for (size_t i = 0; i < entries_.size(); ++i) entries_[i].slot = core_->parameters().slots()[i];
  }

  /// Returns the parameters of the module that the posterior covers, in the module's order.
  const std::vector<Entry>& entries() const { return entries_; }

  /// Shows m + eps / sqrt(s) with the noise eps of the key, whose `parameter` is set here.
  SampledParams sample(NoiseKey noise) {
    return show(noise, [](SampleJob& job, const Entry& entry, const Drawing& drawing) {
      const PosteriorTensors posterior{entry.mean, undefined_tensor(), entry.precision};
      const at::Tensor& theta = entry.slot->buffers.sample();
      // The kernels of half precision need a mean in that precision as well.
      if (is_half(theta.scalar_type())) {
        aten::draw(posterior, theta, drawing);
      } else {
        job.add(posterior, theta, drawing);
      }
    });
  }

  /// Shows m.
  SampledParams mean() {
    return show({}, [](SampleJob&, const Entry& entry, const Drawing&) {
      entry.slot->buffers.sample().copy_(entry.mean);
    });
  }

  /// Shows the values that write(place, mean, buffer) writes to `buffer` for every parameter.
  /// `place` is the parameter's place in the posterior, and `mean` its mean on the module's device.
  template <class Write>
  SampledParams show_values(const Write& write) {
    return show({}, [&](SampleJob&, const Entry& entry, const Drawing&) {
      write(static_cast<size_t>(entry.slot->ref.index), entry.mean, entry.slot->buffers.sample());
    });
  }

  /// Writes m to the parameters.
  void write_mean() {
    core_->refuse_shown_elsewhere(core_->parameters().refs());
    const PlainTensors plain;
    for (const Entry& entry : entries_) at::Tensor(entry.parameter()).copy_(entry.mean);
  }

 private:
  static at::Tensor in_form_of(const at::Tensor& parameter, const at::Tensor& tensor) {
    return tensor.to(parameter.device(), state_dtype(parameter));
  }

  template <class Fill>
  SampledParams show(NoiseKey noise, const Fill& fill) {
    core_->refuse_while_live("sampled_params()");
    core_->report_damage();
    const PlainTensors plain;
    prepare_buffers(core_->parameters().slots(), [this] { return core_->parameters().refs(); });
    SampleJob job(core_->cuda(), entries_.size());
    Sample sample;
    sample.parameters.reserve(entries_.size());
    for (const Entry& entry : entries_) {
      noise.parameter = static_cast<uint32_t>(entry.slot->ref.index);
      // With ess = 1 and no weight decay, the posterior of the kernels is N(m, 1 / precision).
      const Drawing drawing{noise, PosteriorScale()};
      fill(job, entry, drawing);
      sample.parameters.emplace_back(entry.slot->ref, entry.slot, drawing, entry.mean);
    }
    job.run();
    core_->show(std::move(sample));
    return SampledParams(core_);
  }

  std::shared_ptr<SamplingCore> core_ = std::make_shared<SamplingCore>();
  std::vector<Entry> entries_;
};

}  // namespace detail
IVON_NAMESPACE_END
