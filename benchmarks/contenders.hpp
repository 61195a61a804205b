// SPDX-License-Identifier: Apache-2.0
// The optimizers that are timed, and the check that they compute what they should.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

namespace ivon_benchmark {

/// Parameters and one gradient each, which every iteration uses again.
struct Problem {
  std::vector<at::Tensor> parameters;
  std::vector<at::Tensor> gradients;
};

/// An optimizer over the tensors of a problem. Makes its state when constructed or at the first
/// iteration.
class Contender {
 public:
  virtual ~Contender() = default;
  virtual void iterate() = 0;
  /// The first elements of each parameter (IVON: of each mean and Hessian). Throws where an
  /// iteration did not update everything.
  virtual std::vector<at::Tensor> result() = 0;
};

struct ContenderKind {
  std::string name;        // in command lines and JSON
  int64_t bytes;           // moved per float32 parameter and iteration at least
  int64_t resident;        // per float32 parameter, with weight and gradient: what it needs
  std::string checked_by;  // the kind that, run in float64, gives the result to compare with
};
const std::vector<ContenderKind>& contender_kinds();

/// A contender over `shapes`, its result checked over a few iterations: every value against the
/// float64 run of `checked_by` over the first elements of each tensor. Throws c10::Error, or
/// std::runtime_error where the check fails.
std::unique_ptr<Contender> make_checked(const ContenderKind& kind,
                                        const std::vector<std::vector<int64_t>>& shapes);

}  // namespace ivon_benchmark
