// SPDX-License-Identifier: Apache-2.0
// The optimizer on a CUDA device, with the kernels run on the host: how many launches, what they
// read, and that a failure loses nothing.
#include <functional>
#include <ivon/ivon.hpp>

#include "cuda_on_host.hpp"
#include "option_values.hpp"
#include "support.hpp"

namespace {

using ivon::IVON;
using ivon::IVONOptions;
using ivon_test::HostRuntime;
using ivon_test::same_bits;

// Tensors on the CPU go by the CUDA passes while it lives.
class OnHost {
 public:
  OnHost() { ivon::detail::cuda::host_runtime() = &runtime_; }
  ~OnHost() { ivon::detail::cuda::host_runtime() = before_; }
  OnHost(const OnHost&) = delete;
  OnHost& operator=(const OnHost&) = delete;
  HostRuntime* operator->() { return &runtime_; }

 private:
  HostRuntime runtime_;
  ivon::detail::cuda::Runtime* before_ = ivon::detail::cuda::host_runtime();
};

std::vector<at::Tensor> parameters(at::ScalarType dtype = at::kFloat) {
  torch::manual_seed(ivon_test::kSeed);
  std::vector<at::Tensor> params;
  for (const int64_t count : {3, 5000, 64, 8192, 1}) {
    params.push_back(torch::randn({count}).to(dtype).requires_grad_());
  }
  params.push_back(torch::randn({8, 3, 5, 5})
                       .to(dtype)
                       .contiguous(at::MemoryFormat::ChannelsLast)
                       .requires_grad_());
  return params;
}

IVONOptions options() { return IVONOptions(0.05).ess(1000).hess_init(0.1).beta2(0.99); }

at::Tensor loss_of(const std::vector<at::Tensor>& params) {
  at::Tensor loss = at::zeros({});
  for (const at::Tensor& p : params) loss = loss + (p.to(at::kFloat) - 0.3).pow(2).sum();
  return loss;
}

template <class Optimizer>
void iterate(Optimizer& optimizer, const std::vector<at::Tensor>& params, int count = 1,
             bool set_to_none = false) {
  for (int i = 0; i < count; ++i) {
    optimizer.zero_grad(set_to_none);
    {
      auto sample = optimizer.sampled_params();
      loss_of(params).backward();
    }
    optimizer.step();
  }
}

TEST(CudaPasses, TwoLaunchesForAModel) {
  OnHost host;
  const auto params = parameters();
  IVON optimizer(params, options());
  iterate(optimizer, params, 3);
  host->launches.clear();
  iterate(optimizer, params);
  const std::map<std::string, int> expected{{"ivon_sample", 1}, {"ivon_update", 1}};
  EXPECT_EQ(host->launches, expected);
}

TEST(CudaPasses, OneLaunchForAModelInOnePass) {
  OnHost host;
  const auto params = parameters();
  IVON optimizer(params, options().sample_on_step(true));
  const auto iterate_in_one_pass = [&] {
    optimizer.zero_grad(false);
    loss_of(params).backward();
    optimizer.step();
  };
  for (int i = 0; i < 3; ++i) iterate_in_one_pass();
  host->launches.clear();
  iterate_in_one_pass();
  const std::map<std::string, int> expected{{"ivon_step", 1}};
  EXPECT_EQ(host->launches, expected);
}

TEST(CudaPasses, TablesAreWrittenWhenPointersChange) {
  OnHost host;
  const auto params = parameters();
  IVON optimizer(params, options());
  iterate(optimizer, params, 3);
  const at::Tensor held = params[1].grad();  // so that the next one lies elsewhere
  host->launches.clear();
  iterate(optimizer, params, 1, /*set_to_none=*/true);
  EXPECT_EQ(host->launches["ivon_write_page"], 1);  // the gradients' table alone
  EXPECT_EQ(host->launches["ivon_list_chunks"], 0);
}

// theta - m as written in the scope: bit for bit the processors' result.
template <class Estimator>
void expect_the_processors_trajectory(at::ScalarType dtype, int groups) {
  std::vector<std::vector<at::Tensor>> results;
  for (const bool cuda : {false, true}) {
    std::optional<OnHost> host;
    if (cuda) host.emplace();
    const auto params = parameters(dtype);
    std::vector<torch::optim::OptimizerParamGroup> all;
    for (int g = 0; g < groups; ++g) {
      std::vector<at::Tensor> part;
      for (size_t i = static_cast<size_t>(g); i < params.size(); i += static_cast<size_t>(groups)) {
        part.push_back(params[i]);
      }
      all.emplace_back(part, std::make_unique<IVONOptions>(IVONOptions(0.01 * (g + 1))));
    }
    IVON<Estimator> optimizer(all, options());
    torch::manual_seed(ivon_test::kSeed);
    for (int i = 0; i < 4; ++i) {
      const int samples = i == 3 ? 2 : 1;
      for (int s = 0; s < samples; ++s) {
        optimizer.zero_grad();
        {
          auto sample = optimizer.sampled_params();
          {
            const at::NoGradGuard no_grad;
            for (const at::Tensor& p : params) p.copy_(at::randn(p.sizes()).mul(0.05).add(0.1));
          }
          loss_of(params).backward();
        }
      }
      optimizer.step();
    }
    std::vector<at::Tensor> result;
    for (const at::Tensor& p : params) {
      result.push_back(optimizer.mean(p));
      result.push_back(optimizer.param_state(p).hess());
      result.push_back(optimizer.param_state(p).momentum());
    }
    results.push_back(result);
  }
  for (size_t i = 0; i < results[0].size(); ++i) {
    EXPECT_TRUE(same_bits(results[0][i], results[1][i])) << "tensor " << i;
  }
}

TEST(CudaPasses, TheProcessorsTrajectoryWithInjectedNoise) {
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble, at::kBFloat16, at::kHalf}) {
    expect_the_processors_trajectory<ivon::PriceEstimator>(dtype, 1);
    expect_the_processors_trajectory<ivon::GradSquaredEstimator>(dtype, 3);
  }
}

// Trains one parameter for each of `groups` twice, by the processor's passes and by the CUDA
// passes, for `steps` steps. `write(parameter, step)` sets the sample and the gradient. Returns the
// parameters of both runs; the CUDA passes must have updated them in `launches` launches.
std::vector<std::vector<at::Tensor>> train_groups(
    const std::vector<IVONOptions>& groups, const std::vector<at::Tensor>& values,
    const IVONOptions& defaults, int steps, int launches,
    const std::function<void(const at::Tensor&, int)>& write) {
  std::vector<std::vector<at::Tensor>> results;
  for (const bool cuda : {false, true}) {
    std::optional<OnHost> host;
    if (cuda) host.emplace();
    std::vector<at::Tensor> params;
    std::vector<torch::optim::OptimizerParamGroup> param_groups;
    for (size_t g = 0; g < groups.size(); ++g) {
      params.push_back(values[g].clone().requires_grad_());
      param_groups.emplace_back(std::vector<at::Tensor>{params.back()},
                                std::make_unique<IVONOptions>(groups[g]));
    }
    IVON optimizer(param_groups, defaults);
    for (int i = 0; i < steps; ++i) {
      optimizer.zero_grad();
      {
        auto sample = optimizer.sampled_params();
        const at::NoGradGuard no_grad;
        for (const at::Tensor& p : params) write(p, i);
      }
      optimizer.step();
    }
    if (cuda) {
      EXPECT_EQ((*host)->launches["ivon_update"], launches);
    }
    results.push_back(params);
  }
  return results;
}

TEST(CudaPasses, MoreGroupsThanALaunchTakes) {
  std::vector<IVONOptions> groups;
  std::vector<at::Tensor> values;
  for (int g = 0; g < 40; ++g) {
    groups.emplace_back(0.01 * (g + 1));
    values.push_back(torch::full({10}, 0.1 * g));
  }
  const auto results = train_groups(groups, values, options(), /*steps=*/2, /*launches=*/2 * 3,
                                    [](const at::Tensor& p, int i) {
                                      p.fill_(0.3 + i);
                                      p.mutable_grad() = p.clone();
                                    });
  for (size_t i = 0; i < results[0].size(); ++i) {
    EXPECT_TRUE(same_bits(results[0][i], results[1][i])) << "group " << i;
  }
}

// One group for each option of the update, which differs from the first group in that option only.
// They share a launch, so an option that the comparison of shared values forgot would be ignored.
TEST(CudaPasses, GroupsThatDifferInOneOption) {
  std::vector<std::string> names = {"the first group"};
  std::vector<IVONOptions> groups = {ivon_test::group_options()};
  for (const ivon_test::OptionRow& row : ivon_test::option_rows()) {
    if (row.change == nullptr) continue;
    names.push_back(row.name);
    groups.push_back(ivon_test::group_options());
    row.change(groups.back());
  }
  const std::vector<at::Tensor> values(groups.size(), torch::full({10}, 2.0));
  const auto results = train_groups(groups, values, ivon_test::group_options(), /*steps=*/3,
                                    /*launches=*/3, [](const at::Tensor& p, int i) {
                                      p.copy_(torch::linspace(1, 3, 10));
                                      p.mutable_grad() = torch::linspace(-0.1, 0.7, 10) * (i + 1);
                                    });
  for (size_t i = 0; i < results[0].size(); ++i) {
    EXPECT_TRUE(same_bits(results[0][i], results[1][i])) << names[i];
    if (i > 0) {
      EXPECT_FALSE(same_bits(results[0][i], results[0][0])) << names[i] << " has no effect";
    }
  }
}

TEST(CudaPasses, DtypesOfOneModel) {
  OnHost host;
  auto params = parameters();
  const auto halves = parameters(at::kBFloat16);
  params.insert(params.end(), halves.begin(), halves.end());
  IVON optimizer(params, options());
  iterate(optimizer, params, 2);
  host->launches.clear();
  iterate(optimizer, params);
  const std::map<std::string, int> expected{{"ivon_sample", 2}, {"ivon_update", 2}};
  EXPECT_EQ(host->launches, expected);
}

// A slice goes by tensor expressions, with the noise that the kernels would draw.
TEST(CudaPasses, SlicesHaveTheSameNoise) {
  OnHost host;
  const at::Tensor whole = torch::zeros({40, 3});
  const at::Tensor slice = whole.slice(/*dim=*/1, 0, 2).detach().requires_grad_();
  const at::Tensor dense = torch::zeros({40, 2}).requires_grad_();
  std::vector<at::Tensor> shown;
  for (const at::Tensor& parameter : {slice, dense}) {
    IVON optimizer({parameter}, IVONOptions(0.1).ess(1).weight_decay(0));
    optimizer.manual_seed(5);
    auto sample = optimizer.sampled_params();
    shown.push_back(parameter.detach().clone());
  }
  EXPECT_TRUE(same_bits(shown[0], shown[1]));
  std::vector<float> expected(80);
  ivon::detail::fill_normal_cuda({5, 0, ivon::detail::NoiseDomain::kTraining, 0}, 0,
                                 expected.data(), 80);
  EXPECT_TRUE(same_bits(shown[1].flatten(), torch::tensor(expected)));
}

// --- failures -----------------------------------------------------------------------------------

std::vector<at::Tensor> copies(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> all;
  for (const at::Tensor& tensor : tensors) all.push_back(tensor.detach().clone());
  return all;
}

// What fails before a launch leaves all as it was, and the next iteration goes on as if nothing had
// been.
TEST(CudaPasses, AFailureLosesNothing) {
  for (const bool at_step : {false, true}) {
    for (const char* kernel :
         {"ivon_sample", "ivon_update", "ivon_write_page", "ivon_list_chunks"}) {
      OnHost host;
      const auto params = parameters();
      IVON optimizer(params, options());
      iterate(optimizer, params, at_step ? 0 : 2);
      const auto before = copies(params);
      const bool in_scope = std::string(kernel) == "ivon_sample";
      if (at_step == in_scope) continue;
      if (!at_step) {
        host->failing_loads[kernel] = 1;
        IVON_EXPECT_ERROR(auto sample = optimizer.sampled_params(),
                          "a failure that the test wants");
      } else {
        optimizer.zero_grad();
        {
          auto sample = optimizer.sampled_params();
          loss_of(params).backward();
        }
        const bool is_load = std::string(kernel) == "ivon_update";
        (is_load ? host->failing_loads : host->failing_launches)[kernel] = 1;
        IVON_EXPECT_ERROR(optimizer.step(), "a failure that the test wants");
      }
      const auto after = copies(params);
      for (size_t i = 0; i < params.size(); ++i) {
        EXPECT_TRUE(same_bits(before[i], after[i])) << kernel << ", parameter " << i;
      }
      iterate(optimizer, params, 2);
      for (size_t i = 0; i < params.size(); ++i) {
        EXPECT_FALSE(same_bits(before[i], params[i].detach())) << kernel;
      }
    }
  }
}

// A parameter that goes by tensor expressions waits for what may fail of the others.
TEST(CudaPasses, AFailureLeavesStridedParametersAsTheyWere) {
  OnHost host;
  auto params = parameters();
  params.insert(params.begin(),
                at::linspace(-1, 1, 48).view({6, 8}).slice(1, 0, 5).requires_grad_());
  IVON optimizer(params, options());
  {
    auto sample = optimizer.sampled_params();
    loss_of(params).backward();
  }
  const auto before = copies(params);
  host->failing_loads["ivon_update"] = 1;
  IVON_EXPECT_ERROR(optimizer.step(), "a failure that the test wants");
  const auto after = copies(params);
  for (size_t i = 0; i < params.size(); ++i) {
    EXPECT_TRUE(same_bits(before[i], after[i])) << "parameter " << i;
  }
  EXPECT_EQ(optimizer.param_state(params[0]).step(), 0);
  iterate(optimizer, params, 1);
  EXPECT_FALSE(same_bits(before[0], params[0].detach()));
}

TEST(CudaPasses, AFailureInOnePassLosesNothing) {
  std::vector<std::vector<at::Tensor>> results;
  for (const bool fails : {false, true}) {
    OnHost host;
    const auto params = parameters();
    IVON optimizer(params, options().sample_on_step(true));
    optimizer.manual_seed(3);
    for (int i = 0; i < 4; ++i) {
      optimizer.zero_grad(false);
      loss_of(params).backward();
      if (fails && i == 2) {
        host->failing_loads["ivon_step"] = 1;
        IVON_EXPECT_ERROR(optimizer.step(), "a failure that the test wants");
      }
      optimizer.step();
    }
    optimizer.eval();
    results.push_back(copies(params));
  }
  for (size_t i = 0; i < results[0].size(); ++i) {
    EXPECT_TRUE(same_bits(results[0][i], results[1][i])) << "parameter " << i;
  }
}

TEST(CudaPasses, InfoWithoutADevice) {
  if (at::hasCUDA()) GTEST_SKIP() << "this machine has a CUDA device";
  EXPECT_EQ(ivon::cuda_backend_info().backend, "none");
  EXPECT_EQ(ivon::cuda_backend_info().reason, "LibTorch sees no CUDA device");
}

TEST(CudaPasses, ArchivesNameTheStream) {
  OnHost host;
  const auto params = parameters();
  IVON optimizer(params, options());
  iterate(optimizer, params);
  torch::serialize::OutputArchive archive;
  optimizer.save(archive);
  std::stringstream file;
  archive.save_to(file);
  torch::serialize::InputArchive stored, root;
  stored.load_from(file);
  ASSERT_TRUE(stored.try_read("ivon_optimizer", root));
  c10::IValue stream;
  ASSERT_TRUE(root.try_read("cuda_noise_stream", stream));
  EXPECT_EQ(stream.toInt(), ivon::detail::kCudaNoiseStreamId);
}

}  // namespace
