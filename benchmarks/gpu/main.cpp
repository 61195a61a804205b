// SPDX-License-Identifier: Apache-2.0
// Times optimizers on a CUDA device over the tensors of one model, beside a copy of the same run:
//   ivon_gpu_benchmark <model> <float32|bfloat16> [device] [repetitions]
// Prints one JSON object. Gradients are there already; an iteration is what stands between
// backward() and the next forward pass. Repetitions of all contenders are interleaved; the least
// counts, for other work only adds. On device cpu it runs without a GPU, to be tried.
#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <ivon/ivon.hpp>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../models.hpp"

namespace {

using Clock = std::chrono::steady_clock;

struct Problem {
  std::vector<at::Tensor> parameters;
  std::vector<at::Tensor> gradients;
};

Problem problem_of(const ivon_benchmark::Shapes& shapes, const at::TensorOptions& options) {
  torch::manual_seed(20240227);
  Problem problem;
  for (const auto& shape : shapes) {
    problem.parameters.push_back((at::randn(shape, options) * 0.02).requires_grad_());
    problem.gradients.push_back(at::randn(shape, options) * 1e-3);
  }
  return problem;
}

void wait_for(const at::Device& device) {
  if (device.is_cuda()) torch::cuda::synchronize(device.index());
}

// Gives each parameter its gradient as backward() does: a tensor not seen the time before.
class Gradients {
 public:
  explicit Gradients(std::shared_ptr<Problem> problem) : problem_(std::move(problem)) {
    for (const at::Tensor& gradient : problem_->gradients) others_.push_back(gradient.detach());
  }
  void arrive() {
    for (size_t i = 0; i < others_.size(); ++i) {
      problem_->parameters[i].mutable_grad() = turn_ ? others_[i] : problem_->gradients[i];
    }
    turn_ = !turn_;
  }

 private:
  std::shared_ptr<Problem> problem_;
  std::vector<at::Tensor> others_;
  bool turn_ = false;
};

ivon::IVONOptions ivon_options() { return ivon::IVONOptions(0.01).ess(1e5).hess_init(0.1); }

at::Tensor head(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.detach().reshape(-1);
  return flat.narrow(0, 0, std::min<int64_t>(5000, flat.numel())).cpu().to(at::kDouble);
}

// The mean after a step, in float64 by tensor expressions, from what the step saw.
at::Tensor expected_mean(const at::Tensor& m, const at::Tensor& theta, const at::Tensor& gradient) {
  const ivon::IVONOptions o = ivon_options();
  const at::Tensor mean = m.clone(), hess = at::full_like(m, o.hess_init());
  const at::Tensor momentum = at::zeros_like(m), skipped = at::zeros({}, at::kLong);
  ivon::detail::aten::update<ivon::PriceEstimator>(
      mean, hess, momentum, gradient, (theta - m) * gradient,
      ivon::detail::update_coefficients(o, 1), skipped);
  return mean;
}

// Checks the first step of an optimizer over the first elements of each tensor.
template <class Step>
void check_first_step(const ivon::IVON<>& optimizer, const Problem& problem,
                      const std::vector<at::Tensor>& theta, const Step& step) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> before;
  for (const at::Tensor& p : problem.parameters) before.push_back(head(optimizer.mean(p)));
  step();
  const bool half = problem.parameters[0].scalar_type() != at::kFloat;
  for (size_t i = 0; i < before.size(); ++i) {
    const at::Tensor expected = expected_mean(before[i], theta[i], head(problem.gradients[i]));
    const at::Tensor actual = head(optimizer.mean(problem.parameters[i]));
    // Halves show a sample of 8 bits, while the step knows its noise exactly: the Hessian, and so
    // the step, moves by beta2's 1e-5 of that.
    const double error = (actual - expected).abs().max().item<double>();
    const double moved = (expected - before[i]).abs().max().item<double>();
    if (!(error <= (half ? 1e-2 : 1e-4) * moved + 1e-7)) {
      throw std::runtime_error("wrong result: tensor " + std::to_string(i) + " is off by " +
                               std::to_string(error) + " where it moved " + std::to_string(moved));
    }
  }
}

std::vector<at::Tensor> heads(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> all;
  for (const at::Tensor& tensor : tensors) all.push_back(head(tensor));
  return all;
}

struct Contender {
  std::string name;
  double bytes;  // moved per parameter and iteration, at least
  std::function<void()> iterate;
  int64_t launches = -1;  // of ivon's kernels in one iteration; -1: not counted
  double best = 1e300;    // seconds
};

Contender ivon_standard(const std::shared_ptr<Problem>& problem, double bytes) {
  auto optimizer = std::make_shared<ivon::IVON<>>(problem->parameters, ivon_options());
  auto gradients = std::make_shared<Gradients>(problem);
  std::vector<at::Tensor> theta;
  const auto sample = [=](std::vector<at::Tensor>* seen) {
    auto scope = optimizer->sampled_params();
    if (seen != nullptr) *seen = heads(problem->parameters);
    gradients->arrive();
  };
  sample(&theta);
  check_first_step(*optimizer, *problem, theta, [&] { optimizer->step(); });
  return {"ivon", bytes, [=] {
            sample(nullptr);
            optimizer->step();
          }};
}

Contender ivon_one_pass(const std::shared_ptr<Problem>& problem, double bytes) {
  auto optimizer =
      std::make_shared<ivon::IVON<>>(problem->parameters, ivon_options().sample_on_step(true));
  auto gradients = std::make_shared<Gradients>(problem);
  gradients->arrive();
  check_first_step(*optimizer, *problem, heads(problem->parameters), [&] { optimizer->step(); });
  return {"ivon_one_pass", bytes, [=] {
            gradients->arrive();
            optimizer->step();
          }};
}

Contender fused_adamw(const std::shared_ptr<Problem>& problem, double bytes) {
  struct State {
    std::vector<at::Tensor> averages, squares, steps;
  };
  auto state = std::make_shared<State>();
  for (const at::Tensor& p : problem->parameters) {
    state->averages.push_back(at::zeros_like(p.detach()));
    state->squares.push_back(at::zeros_like(p.detach()));
    state->steps.push_back(at::zeros({}, p.options().dtype(at::kFloat).requires_grad(false)));
  }
  return {"fused_adamw", bytes, [=] {
            const at::NoGradGuard no_grad;
            at::_foreach_add_(state->steps, 1);
            at::_fused_adamw_(problem->parameters, problem->gradients, state->averages,
                              state->squares, {}, state->steps, 1e-3, 0.9, 0.999, 1e-2, 1e-8,
                              /*amsgrad=*/false, /*maximize=*/false);
          }};
}

Contender torch_adamw(const std::shared_ptr<Problem>& problem, double bytes) {
  auto optimizer = std::make_shared<torch::optim::AdamW>(problem->parameters);
  auto gradients = std::make_shared<Gradients>(problem);
  return {"torch_adamw", bytes, [=] {
            gradients->arrive();
            optimizer->step();
          }};
}

Contender copy(const std::shared_ptr<Problem>& problem, int64_t count, double bytes) {
  const at::Tensor from = at::zeros({count}, problem->gradients[0].options());
  const at::Tensor to = at::zeros_like(from);
  return {"copy", bytes, [=] { to.copy_(from); }};
}

int64_t launches_so_far() {
  auto* runtime =
      dynamic_cast<ivon::detail::cuda::NvrtcRuntime*>(ivon::detail::cuda_backend().runtime);
  return runtime != nullptr ? runtime->launches() : -1;
}

// Seconds of one iteration, from as many as take a while.
double time_of(const Contender& contender, int iterations, const at::Device& device) {
  wait_for(device);
  const auto begin = Clock::now();
  for (int i = 0; i < iterations; ++i) contender.iterate();
  wait_for(device);
  return std::chrono::duration<double>(Clock::now() - begin).count() / iterations;
}

// The first sample of a process compiles the kernels.
double first_use(const at::Device& device, at::ScalarType dtype) {
  const auto options = at::TensorOptions().device(device).dtype(dtype);
  const at::Tensor p = at::zeros({10}, options).requires_grad_();
  wait_for(device);
  const auto begin = Clock::now();
  ivon::IVON optimizer({p}, ivon_options());
  {
    auto sample = optimizer.sampled_params();
    p.mutable_grad() = at::ones({10}, options);
  }
  optimizer.step();
  wait_for(device);
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

void run(const std::string& model, const std::string& dtype_name, const at::Device& device,
         int repetitions) {
  const bool half = dtype_name == "bfloat16";
  if (!half && dtype_name != "float32") throw std::invalid_argument("float32 or bfloat16");
  const at::ScalarType dtype = half ? at::kBFloat16 : at::kFloat;
  const auto shapes = ivon_benchmark::shapes_of(model);
  const int64_t count = ivon_benchmark::count_elements(shapes);
  const double first = first_use(device, dtype);

  // Bytes per parameter. float32: see docs/cuda.md. bfloat16: a sample reads mean 2, full mean 4, h
  // 4 and writes 2; an update reads these, momentum 4 and gradient 2, and writes means 2 and 4, h 4
  // and momentum 4. AdamW's state has the parameter's type.
  const auto problem = std::make_shared<Problem>(
      problem_of(shapes, at::TensorOptions().device(device).dtype(dtype)));
  const auto fresh = [&] {
    return std::make_shared<Problem>(
        problem_of(shapes, at::TensorOptions().device(device).dtype(dtype)));
  };
  std::vector<std::function<Contender()>> makers = {
      [&] { return ivon_standard(fresh(), half ? 42 : 40); },
      [&] { return ivon_one_pass(fresh(), 32); },
      [&] { return fused_adamw(fresh(), half ? 14 : 28); },
      [&] { return torch_adamw(fresh(), half ? 46 : 92); },
      [&] { return copy(problem, count, half ? 4 : 8); }};
  std::vector<Contender> contenders;
  for (const auto& make : makers) {
    contenders.push_back(make());
    Contender& contender = contenders.back();
    for (int i = 0; i < 5; ++i) contender.iterate();
    wait_for(device);
    const int64_t before = launches_so_far();
    contender.iterate();
    if (before >= 0 && contender.name.rfind("ivon", 0) == 0) {
      contender.launches = launches_so_far() - before;
    }
  }
  for (int repetition = 0; repetition < repetitions; ++repetition) {
    for (Contender& contender : contenders) {
      const double guess = std::max(contender.best < 1 ? contender.best : 1e-3, 1e-6);
      const int iterations = std::clamp(static_cast<int>(0.05 / guess), 1, 200);
      contender.best = std::min(contender.best, time_of(contender, iterations, device));
    }
  }

  const ivon::CudaBackendInfo info = ivon::cuda_backend_info();
  std::printf(
      "{\"model\": \"%s\", \"dtype\": \"%s\", \"device\": \"%s\", \"parameters\": %lld, "
      "\"tensors\": %zu, \"backend\": \"%s\", \"reason\": \"%s\", \"torch\": \"%s\", "
      "\"first_use_s\": %.3f, \"contenders\": {",
      model.c_str(), dtype_name.c_str(), device.str().c_str(), static_cast<long long>(count),
      shapes.size(), info.backend.c_str(), info.reason.c_str(), TORCH_VERSION, first);
  const char* comma = "";
  for (const Contender& contender : contenders) {
    std::printf("%s\"%s\": {\"seconds\": %.9g, \"bytes_per_parameter\": %g, \"launches\": %lld}",
                comma, contender.name.c_str(), contender.best, contender.bytes,
                static_cast<long long>(contender.launches));
    comma = ", ";
  }
  std::printf("}}\n");
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc < 3 || argc > 5) {
      throw std::invalid_argument("usage: " + std::string(argv[0]) +
                                  " <model> <float32|bfloat16> [device] [repetitions]");
    }
    run(argv[1], argv[2], at::Device(argc > 3 ? argv[3] : "cuda:0"),
        argc > 4 ? std::stoi(argv[4]) : 20);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
