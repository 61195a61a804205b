// SPDX-License-Identifier: Apache-2.0
#include "contenders.hpp"

#include <torch/torch.h>

#include <algorithm>
#include <ivon/optimizer.hpp>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "tolerances.hpp"

namespace ivon_benchmark {
namespace {

constexpr uint64_t kSeed = 20240227;
constexpr int kCheckedIterations = 3;
constexpr int64_t kHead = 5000;  // checked elements of each tensor: more than one noise block

void require(bool right, const std::string& what) {
  if (!right) throw std::runtime_error("wrong result: " + what);
}

at::Tensor head(const at::Tensor& tensor) {
  const auto flat = tensor.detach().view(-1);
  return flat.narrow(0, 0, std::min(kHead, flat.numel())).clone();
}

std::vector<at::Tensor> heads(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> result;
  for (const at::Tensor& tensor : tensors) result.push_back(head(tensor));
  return result;
}

// Gives each parameter its gradient as backward() does, as a tensor not seen in the iteration
// before: two aliases of the same memory take turns.
class Gradients {
 public:
  explicit Gradients(const Problem& problem) : parameters_(problem.parameters) {
    for (const at::Tensor& gradient : problem.gradients) {
      aliases_[0].push_back(gradient);
      aliases_[1].push_back(gradient.detach());
    }
  }
  void arrive() {
    turn_ = 1 - turn_;
    for (size_t i = 0; i < parameters_.size(); ++i) {
      parameters_[i].mutable_grad() = aliases_[turn_][i];
    }
  }

 private:
  std::vector<at::Tensor> parameters_;
  std::vector<at::Tensor> aliases_[2];
  int turn_ = 0;
};

// The paper's parametrisation.
ivon::IVONOptions ivon_options() { return ivon::IVONOptions(0.01).ess(1e6); }

class Ivon : public Contender {
 public:
  Ivon(const Problem& problem, const ivon::IVONOptions& options)
      : one_pass_(options.sample_on_step()),
        parameters_(problem.parameters),
        gradients_(problem),
        optimizer_(problem.parameters, options) {
    optimizer_.manual_seed(kSeed);
  }

  void iterate() override {
    if (one_pass_) {
      gradients_.arrive();
    } else {
      auto sample = optimizer_.sampled_params();
      gradients_.arrive();
    }
    optimizer_.step();
    ++iterations_;
  }

  std::vector<at::Tensor> result() override {
    const auto means_shown = optimizer_.mean_params();
    std::vector<at::Tensor> result = heads(parameters_);
    for (const at::Tensor& parameter : parameters_) {
      const ivon::IVONParamState& state = optimizer_.param_state(parameter);
      require(state.step() == iterations_, "a parameter was not updated in every iteration");
      result.push_back(head(state.hess()));
    }
    require(optimizer_.skipped_elements() == 0, "elements were skipped");
    return result;
  }

 private:
  bool one_pass_;
  std::vector<at::Tensor> parameters_;
  Gradients gradients_;
  ivon::IVON<> optimizer_;
  int64_t iterations_ = 0;
};

// The sample alone: what is left of an iteration is the update.
class IvonSample : public Contender {
 public:
  explicit IvonSample(const Problem& problem)
      : parameters_(problem.parameters), optimizer_(problem.parameters, ivon_options()) {
    optimizer_.manual_seed(kSeed);
  }
  void iterate() override {
    const at::NoGradGuard prediction;
    const auto sample = optimizer_.sampled_params();
  }
  std::vector<at::Tensor> result() override {
    const at::NoGradGuard prediction;
    const auto sample = optimizer_.sampled_params();
    return heads(parameters_);
  }

 private:
  std::vector<at::Tensor> parameters_;
  ivon::IVON<> optimizer_;
};

// The loop of LibTorch's own optimizers.
template <class Optimizer, class Options>
class Torch : public Contender {
 public:
  Torch(const Problem& problem, const Options& options)
      : parameters_(problem.parameters),
        gradients_(problem),
        optimizer_(problem.parameters, options) {}
  void iterate() override {
    gradients_.arrive();
    optimizer_.step();
  }
  std::vector<at::Tensor> result() override { return heads(parameters_); }

 private:
  std::vector<at::Tensor> parameters_;
  Gradients gradients_;
  Optimizer optimizer_;
};

const torch::optim::AdamWOptions& adamw_options() {
  static const torch::optim::AdamWOptions options(1e-3);
  return options;
}

class FusedAdamW : public Contender {
 public:
  explicit FusedAdamW(const Problem& problem) : problem_(problem) {
    const at::NoGradGuard no_grad;
    for (const at::Tensor& parameter : problem_.parameters) {
      averages_.push_back(at::zeros_like(parameter));
      squares_.push_back(at::zeros_like(parameter));
      steps_.push_back(at::zeros({}));
    }
  }
  void iterate() override {
    const at::NoGradGuard no_grad;
    ++iterations_;
    for (const at::Tensor& step : steps_) *step.mutable_data_ptr<float>() = iterations_;
    const auto& options = adamw_options();
    const auto [beta1, beta2] = options.betas();
    at::_fused_adamw_(problem_.parameters, problem_.gradients, averages_, squares_, {}, steps_,
                      options.lr(), beta1, beta2, options.weight_decay(), options.eps(),
                      /*amsgrad=*/false, /*maximize=*/false);
  }
  std::vector<at::Tensor> result() override { return heads(problem_.parameters); }

 private:
  Problem problem_;
  std::vector<at::Tensor> averages_, squares_, steps_;
  float iterations_ = 0;
};

class Copy : public Contender {
 public:
  explicit Copy(const Problem& problem) : from_(problem.parameters) {
    const at::NoGradGuard no_grad;
    for (const at::Tensor& tensor : from_) to_.push_back(at::zeros_like(tensor));
  }
  void iterate() override {
    const at::NoGradGuard no_grad;
    for (size_t i = 0; i < from_.size(); ++i) to_[i].copy_(from_[i]);
  }
  std::vector<at::Tensor> result() override { return heads(to_); }

 private:
  std::vector<at::Tensor> from_, to_;
};

// Reads and writes every element where it is: no cache line is fetched only to be overwritten, as a
// copy's are. What the memory gives at best.
class Scale : public Contender {
 public:
  explicit Scale(const Problem& problem) : parameters_(problem.parameters) {}
  void iterate() override {
    const at::NoGradGuard no_grad;
    for (at::Tensor& tensor : parameters_) tensor.mul_(1.0);
  }
  std::vector<at::Tensor> result() override { return heads(parameters_); }

 private:
  std::vector<at::Tensor> parameters_;
};

std::unique_ptr<Contender> make(const std::string& name, const Problem& problem) {
  using torch::optim::AdamW;
  using torch::optim::AdamWOptions;
  using torch::optim::SGD;
  using torch::optim::SGDOptions;
  if (name == "ivon") return std::make_unique<Ivon>(problem, ivon_options());
  if (name == "ivon_one_pass") {
    return std::make_unique<Ivon>(problem, ivon_options().sample_on_step(true));
  }
  if (name == "ivon_like_adamw") {
    return std::make_unique<Ivon>(problem, ivon::IVONOptions::like_adamw(adamw_options(), 1e6));
  }
  if (name == "ivon_sample") return std::make_unique<IvonSample>(problem);
  if (name == "adamw") {
    return std::make_unique<Torch<AdamW, AdamWOptions>>(problem, adamw_options());
  }
  if (name == "sgd") {
    return std::make_unique<Torch<SGD, SGDOptions>>(problem, SGDOptions(1e-3).momentum(0.9));
  }
  if (name == "fused_adamw") return std::make_unique<FusedAdamW>(problem);
  if (name == "copy") return std::make_unique<Copy>(problem);
  if (name == "scale") return std::make_unique<Scale>(problem);
  throw std::invalid_argument("no contender is called " + name);
}

// Normal values from a tile of random ones: LibTorch's own generator takes seconds for a large one.
at::Tensor random_tensor(const std::vector<int64_t>& shape, double scale) {
  constexpr int64_t kTile = 1 << 16;
  static const at::Tensor tile = at::randn({kTile});
  at::Tensor tensor = at::empty(shape);
  at::Tensor flat = tensor.view(-1);
  for (int64_t begin = 0; begin < flat.numel(); begin += kTile) {
    const int64_t count = std::min(kTile, flat.numel() - begin);
    flat.narrow(0, begin, count).copy_(tile.narrow(0, 0, count)).mul_(scale);
  }
  return tensor;
}

// The first elements of everything, in float64. Noise is numbered by parameter and element, so a
// parameter's head gets the same noise as the whole.
Problem head_problem(const Problem& problem) {
  Problem small;
  for (const at::Tensor& tensor : problem.parameters) {
    small.parameters.push_back(head(tensor).to(at::kDouble).requires_grad_());
  }
  for (const at::Tensor& tensor : problem.gradients) {
    small.gradients.push_back(head(tensor).to(at::kDouble));
  }
  return small;
}

void compare(const std::vector<at::Tensor>& actual, const std::vector<at::Tensor>& expected) {
  for (size_t i = 0; i < actual.size(); ++i) {
    const auto difference = (actual[i].to(at::kDouble) - expected[i].to(at::kDouble)).abs().max();
    const double error = difference.item<double>() / expected[i].abs().max().item<double>();
    std::ostringstream text;
    text << "tensor " << i << " is off by " << error << " relative";
    require(error <= ivon_test::tolerance::kFusedFloat32, text.str());
  }
}

}  // namespace

const std::vector<ContenderKind>& contender_kinds() {
  // bytes: docs/performance.md. resident: weight 4, gradient 4, and the state (copy: its target).
  static const std::vector<ContenderKind> kinds = {
      {"ivon", 44, 20, "ivon"},
      {"ivon_one_pass", 36, 20, "ivon"},
      {"ivon_like_adamw", 36, 20, "ivon_like_adamw"},
      {"ivon_sample", 12, 20, "ivon_sample"},
      {"adamw", 92, 24, "adamw"},
      {"sgd", 32, 12, "sgd"},
      {"fused_adamw", 28, 16, "adamw"},
      {"copy", 8, 12, "copy"},
      {"scale", 8, 8, "scale"},
  };
  return kinds;
}

std::unique_ptr<Contender> make_checked(const ContenderKind& kind,
                                        const std::vector<std::vector<int64_t>>& shapes) {
  Problem problem;
  for (const auto& shape : shapes) {
    problem.parameters.push_back(random_tensor(shape, 0.05).requires_grad_());
    problem.gradients.push_back(random_tensor(shape, 0.01));
  }
  const auto expected = make(kind.checked_by, head_problem(problem));
  auto contender = make(kind.name, problem);
  for (int i = 0; i < kCheckedIterations; ++i) {
    expected->iterate();
    contender->iterate();
  }
  compare(contender->result(), expected->result());
  return contender;
}

}  // namespace ivon_benchmark
