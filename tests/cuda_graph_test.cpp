// SPDX-License-Identifier: Apache-2.0
// capturable: an iteration that is captured once and replayed equals the iterations it stands for,
// bit for bit. The kernels run on the host, which captures and replays launches as CUDA does.
#include <ivon/ivon.hpp>

#include "cuda_on_host.hpp"
#include "support.hpp"

namespace {

using ivon::IVON;
using ivon::IVONOptions;
using ivon_test::HostRuntime;
using ivon_test::same_bits;

IVONOptions graph_options() {
  return IVONOptions(0.05).ess(1000).hess_init(0.1).beta2(0.99).capturable(true);
}

// A model whose gradients are computed by work that can be captured: theta - 0.3.
struct Training {
  HostRuntime host;
  std::vector<at::Tensor> params;
  std::unique_ptr<IVON<>> optimizer;

  explicit Training(const IVONOptions& with) {
    ivon::detail::cuda::host_runtime() = &host;
    for (const int64_t count : {5, 5000, 64}) {
      params.push_back(torch::linspace(-1, 1, count).requires_grad_());
      params.back().mutable_grad() = torch::zeros({count});
    }
    std::vector<torch::optim::OptimizerParamGroup> groups;
    groups.emplace_back(std::vector<at::Tensor>{params[0], params[1]});
    groups.emplace_back(std::vector<at::Tensor>{params[2]},
                        std::make_unique<IVONOptions>(IVONOptions(0.02).weight_decay(1e-3)));
    optimizer = std::make_unique<IVON<>>(groups, with);
    optimizer->manual_seed(ivon_test::kSeed);
  }
  ~Training() {
    optimizer.reset();
    ivon::detail::cuda::host_runtime() = before_;
  }
  Training(const Training&) = delete;
  Training& operator=(const Training&) = delete;

  void backward() {
    for (const at::Tensor& p : params) {
      p.mutable_grad().add_(0);  // is seen as written
      float* gradient = p.mutable_grad().data_ptr<float>();
      const float* theta = p.data_ptr<float>();
      const int64_t count = p.numel();
      host.enqueue([=] {
        for (int64_t i = 0; i < count; ++i) gradient[i] = theta[i] - 0.3f;
      });
    }
  }
  void iterate() {
    optimizer->zero_grad(/*set_to_none=*/false);
    if (on_step()) {
      backward();
    } else {
      auto sample = optimizer->sampled_params();
      backward();
    }
    optimizer->step();
  }
  bool on_step() const {
    return static_cast<const IVONOptions&>(optimizer->defaults()).sample_on_step();
  }
  void set_lr(double lr) {
    for (auto& group : optimizer->param_groups()) group.options().set_lr(lr);
  }

  std::vector<at::Tensor> result() {
    std::vector<at::Tensor> all;
    for (const at::Tensor& p : params) {
      all.push_back(optimizer->mean(p));
      all.push_back(optimizer->param_state(p).hess().clone());
      all.push_back(optimizer->param_state(p).momentum().clone());
      all.push_back(torch::tensor(optimizer->param_state(p).step()));
    }
    return all;
  }
  std::string archive() {
    torch::serialize::OutputArchive out;
    optimizer->save(out);
    std::stringstream file;
    out.save_to(file);
    return file.str();
  }

 private:
  ivon::detail::cuda::Runtime* before_ = ivon::detail::cuda::host_runtime();
};

void expect_same(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(same_bits(a[i], b[i])) << "tensor " << i;
}

// Two iterations, then seven, with a new learning rate after the first three of these; the last
// stands on its own again.
std::vector<at::Tensor> run(const IVONOptions& with, bool captured) {
  Training training(with);
  for (int i = 0; i < 2; ++i) training.iterate();
  if (captured) {
    training.host.begin_capture();
    training.iterate();
    training.host.end_capture();
  }
  for (int i = 0; i < 7; ++i) {
    if (i == 3) training.set_lr(0.01);
    if (captured) {
      training.host.replay();
    } else {
      training.iterate();
    }
  }
  std::vector<at::Tensor> all = training.result();
  training.iterate();
  const auto after = training.result();
  all.insert(all.end(), after.begin(), after.end());
  return all;
}

TEST(CudaGraph, ReplaysAreIterations) {
  expect_same(run(graph_options(), false), run(graph_options(), true));
}

TEST(CudaGraph, ReplaysAreIterationsInOnePass) {
  const IVONOptions with = graph_options().sample_on_step(true);
  expect_same(run(with, false), run(with, true));
}

// Damping and decoupled weight decay: the device computes their coefficients from its own learning
// rate and step counts.
TEST(CudaGraph, ReplaysAreIterationsWithDamping) {
  const IVONOptions with =
      IVONOptions::like_adamw(torch::optim::AdamWOptions(0.05).weight_decay(0.5), 1e3)
          .capturable(true);
  expect_same(run(with, false), run(with, true));
  expect_same(run(with, false), run(IVONOptions(with).capturable(false), false));
}

TEST(CudaGraph, CapturableChangesNothing) {
  expect_same(run(graph_options(), false), run(graph_options().capturable(false), false));
  expect_same(run(graph_options().sample_on_step(true), false),
              run(graph_options().sample_on_step(true).capturable(false), false));
}

TEST(CudaGraph, ReplaysAreSaved) {
  std::string archives[2];
  for (const bool captured : {false, true}) {
    Training training(graph_options());
    for (int i = 0; i < 2; ++i) training.iterate();
    if (captured) {
      training.host.begin_capture();
      training.iterate();
      training.host.end_capture();
    }
    for (int i = 0; i < 3; ++i) captured ? training.host.replay() : training.iterate();
    archives[captured ? 1 : 0] = training.archive();
    EXPECT_EQ(training.optimizer->param_state(training.params[0]).step(), 5);
  }
  // Resumed without a graph, both go the same way.
  std::vector<std::vector<at::Tensor>> results;
  for (const std::string& archive : archives) {
    Training training(graph_options().capturable(false));
    std::stringstream file(archive);
    torch::serialize::InputArchive in;
    in.load_from(file);
    training.optimizer->load(in);
    training.iterate();
    results.push_back(training.result());
  }
  for (size_t i = 0; i < results[0].size(); ++i) {
    if (i % 4 == 0) continue;  // the model itself is not in the archive
    if (i % 4 == 2) continue;  // nor what its gradients say
    EXPECT_TRUE(same_bits(results[0][i], results[1][i])) << "tensor " << i;
  }
}

TEST(CudaGraph, LaunchesOfAnIteration) {
  Training training(graph_options());
  for (int i = 0; i < 3; ++i) training.iterate();
  training.host.launches.clear();
  training.iterate();
  const std::map<std::string, int> expected{
      {"ivon_count_updates", 2}, {"ivon_sample", 1}, {"ivon_update", 1}};
  EXPECT_EQ(training.host.launches, expected);
}

TEST(CudaGraph, PredictionsHaveTheirOwnNoise) {
  Training training(graph_options());
  training.iterate();
  const float* shown = nullptr;
  std::vector<std::vector<float>> samples;
  training.host.begin_capture();
  {
    const at::NoGradGuard no_grad;
    auto sample = training.optimizer->sampled_params();
    shown = training.params[0].data_ptr<float>();
  }
  training.host.end_capture();
  for (int i = 0; i < 3; ++i) {
    training.host.replay();
    samples.emplace_back(shown, shown + 5);
  }
  EXPECT_NE(samples[0], samples[1]);
  EXPECT_NE(samples[1], samples[2]);
}

// A step that fails after replays goes back by one sample, not to where the host last was.
TEST(CudaGraph, AFailureAfterReplaysLosesNothing) {
  std::vector<std::vector<at::Tensor>> results;
  for (const bool fails : {false, true}) {
    Training training(graph_options().sample_on_step(true));
    for (int i = 0; i < 2; ++i) training.iterate();
    training.host.begin_capture();
    training.iterate();
    training.host.end_capture();
    for (int i = 0; i < 3; ++i) training.host.replay();
    if (fails) {
      training.host.failing_loads["ivon_step"] = 1;
      IVON_EXPECT_ERROR(training.iterate(), "a failure that the test wants");
      training.optimizer->step();
    } else {
      training.iterate();
    }
    training.iterate();
    results.push_back(training.result());
  }
  expect_same(results[0], results[1]);
}

// --- errors -------------------------------------------------------------------------------------

TEST(CudaGraph, CapturingNeedsCapturable) {
  Training training(graph_options().capturable(false));
  training.iterate();
  const at::Tensor before = training.params[1].detach().clone();
  training.host.begin_capture();
  IVON_EXPECT_ERROR(training.iterate(), "build it with IVONOptions::capturable(true)");
  training.host.end_capture();
  EXPECT_TRUE(same_bits(training.params[1].detach(), before));
  training.iterate();
}

TEST(CudaGraph, CapturingNeedsState) {
  Training training(graph_options());
  training.host.begin_capture();
  IVON_EXPECT_ERROR(training.iterate(), "run one iteration before capturing");
  training.host.end_capture();
  training.iterate();
}

TEST(CudaGraph, CapturingNeedsAStep) {
  Training training(graph_options());
  {
    const at::NoGradGuard no_grad;
    auto prediction = training.optimizer->sampled_params();  // makes the state
  }
  training.host.begin_capture();
  IVON_EXPECT_ERROR(training.iterate(), "has had no step yet");
  training.host.end_capture();
}

TEST(CudaGraph, CapturingNeedsTheRateOfTheDevice) {
  Training training(graph_options());
  training.iterate();
  static_cast<IVONOptions&>(training.optimizer->param_groups()[0].options()).lr() = 0.3;
  training.host.begin_capture();
  IVON_EXPECT_ERROR(training.iterate(), "call lr(value) or set_lr(value)");
  training.host.end_capture();
}

TEST(CudaGraph, GroupsAgreeOnCapturable) {
  Training training(graph_options());
  const at::Tensor more = torch::zeros({3}).requires_grad_();
  IVON_EXPECT_ERROR(training.optimizer->add_param_group(torch::optim::OptimizerParamGroup(
                        {more}, std::make_unique<IVONOptions>(IVONOptions(0.1).capturable(false)))),
                    "capturable must be the optimizer's true");
}

}  // namespace
