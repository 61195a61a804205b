// SPDX-License-Identifier: Apache-2.0
// A resumed run equals the uninterrupted one bit for bit.
#include <ATen/Parallel.h>

#include <ivon/optimizer.hpp>

#include "pch.hpp"
#include "support.hpp"

namespace {

using ivon::IVON;
using ivon::IVONOptions;
using ivon_test::same_bits;
using torch::optim::OptimizerParamGroup;

// Two groups, a frozen parameter, more elements than one thread's share of ATen's loops.
struct Model : torch::nn::Module {
  torch::nn::Linear first{nullptr}, second{nullptr};
  explicit Model(at::ScalarType dtype) {
    torch::manual_seed(7);
    first = register_module("first", torch::nn::Linear(64, 1500));
    second = register_module("second", torch::nn::Linear(1500, 3));
    second->bias.requires_grad_(false);
    to(dtype);
  }
  torch::Tensor loss(int64_t batch) {
    const auto input = torch::sin(torch::arange(8 * 64, torch::kFloat) * 0.1 * (1 + batch))
                           .view({8, 64})
                           .to(first->weight.scalar_type());
    return second(torch::tanh(first(input))).pow(2).mean();
  }
};

template <class Estimator>
struct Run {
  std::shared_ptr<Model> model;
  IVON<Estimator> optimizer;
  explicit Run(at::ScalarType dtype)
      : model(std::make_shared<Model>(dtype)),
        optimizer(groups(*model), IVONOptions(0.1).ess(1e4).beta2(0.99).mc_samples(2)) {
    optimizer.manual_seed(5);
  }
  static std::vector<OptimizerParamGroup> groups(Model& model) {
    std::vector<OptimizerParamGroup> groups;
    groups.emplace_back(model.first->parameters());
    groups.emplace_back(model.second->parameters(),
                        std::make_unique<IVONOptions>(IVONOptions(0.05).weight_decay(0.01)));
    return groups;
  }
  void train(int64_t from, int64_t to, bool predict_between) {
    for (int64_t i = from; i < to; ++i) {
      optimizer.step([&] {
        optimizer.zero_grad();
        auto loss = model->loss(i);
        loss.backward();
        return loss;
      });
      if (predict_between) {
        torch::NoGradGuard no_grad;
        auto sample = optimizer.sampled_params();
        (void)model->loss(i);
      }
    }
  }
};

template <class Estimator>
void expect_same(Run<Estimator>& a, Run<Estimator>& b) {
  const auto left = a.model->parameters(), right = b.model->parameters();
  for (size_t i = 0; i < left.size(); ++i) {
    EXPECT_TRUE(same_bits(left[i], right[i])) << i;
    if (!left[i].requires_grad()) continue;
    const auto& x = a.optimizer.param_state(left[i]);
    const auto& y = b.optimizer.param_state(right[i]);
    EXPECT_TRUE(same_bits(x.hess(), y.hess())) << i;
    EXPECT_TRUE(same_bits(x.momentum(), y.momentum())) << i;
    EXPECT_TRUE(same_bits(x.mean(), y.mean())) << i;
    EXPECT_EQ(x.step(), y.step()) << i;
  }
}

template <class Estimator>
void resume_equals_uninterrupted(at::ScalarType dtype, int threads_first, int threads_after) {
  const int threads = at::get_num_threads();
  at::set_num_threads(threads_first);
  Run<Estimator> whole(dtype);
  whole.train(0, 6, /*predict_between=*/false);

  Run<Estimator> stopped(dtype);
  stopped.train(0, 3, /*predict_between=*/true);
  std::stringstream stream;
  {
    torch::serialize::OutputArchive archive;
    stopped.model->save(archive);
    stopped.optimizer.save(archive);
    archive.save_to(stream);
  }

  at::set_num_threads(threads_after);
  Run<Estimator> resumed(dtype);
  resumed.optimizer.manual_seed(99);  // the archive's seed governs
  resumed.train(0, 1, false);         // and its state, whatever was there
  torch::serialize::InputArchive archive;
  archive.load_from(stream);
  resumed.model->load(archive);
  resumed.optimizer.load(archive);
  expect_same(stopped, resumed);
  resumed.train(3, 6, /*predict_between=*/true);
  expect_same(whole, resumed);
  at::set_num_threads(threads);
}

TEST(Resume, Price) {
  resume_equals_uninterrupted<ivon::PriceEstimator>(torch::kFloat, 1, 1);
  resume_equals_uninterrupted<ivon::PriceEstimator>(torch::kDouble, 1, 1);
}
TEST(Resume, GradSquared) {
  resume_equals_uninterrupted<ivon::GradSquaredEstimator>(torch::kFloat, 1, 1);
}
TEST(Resume, HalfPrecision) {
  resume_equals_uninterrupted<ivon::PriceEstimator>(torch::kBFloat16, 1, 1);
}
// `loss` itself runs matrix products whose sums depend on the number of threads: compare like with
// like.
TEST(Resume, TwoThreads) {
  resume_equals_uninterrupted<ivon::PriceEstimator>(torch::kFloat, 2, 2);
  resume_equals_uninterrupted<ivon::PriceEstimator>(torch::kBFloat16, 2, 2);
}

// With gradients that do not depend on threads, neither does anything else.
TEST(Resume, NumberOfThreadsNeverChangesAResult) {
  const auto train = [](int threads) {
    const int before = at::get_num_threads();
    at::set_num_threads(threads);
    auto weight = torch::linspace(-1, 1, 300'007).requires_grad_();
    IVON optimizer({weight}, IVONOptions(0.1).ess(1e4).beta2(0.99));
    optimizer.manual_seed(5);
    for (int i = 0; i < 3; ++i) {
      {
        auto sample = optimizer.sampled_params();
        weight.mutable_grad() = weight.detach() * 2;
      }
      optimizer.step();
    }
    at::set_num_threads(before);
    return std::make_pair(weight.detach().clone(), optimizer.param_state(weight).hess().clone());
  };
  const auto one = train(1);
  for (const int threads : {2, 3}) {
    const auto several = train(threads);
    EXPECT_TRUE(same_bits(one.first, several.first)) << threads;
    EXPECT_TRUE(same_bits(one.second, several.second)) << threads;
  }
}

TEST(Resume, OrderOfParametersDoesNotMatterWhenTheNoiseIsInjected) {
  const auto train = [](bool reversed) {
    auto a = torch::linspace(-1, 1, 5).requires_grad_(),
         b = torch::linspace(0, 2, 7).requires_grad_();
    std::vector<torch::Tensor> parameters = {a, b};
    if (reversed) std::swap(parameters[0], parameters[1]);
    IVON optimizer(parameters, IVONOptions(0.1).ess(100).beta2(0.9));
    for (int i = 0; i < 3; ++i) {
      optimizer.zero_grad();
      {
        auto sample = optimizer.sampled_params();
        {
          torch::NoGradGuard no_grad;
          for (auto* weight : {&a, &b}) weight->copy_(optimizer.mean(*weight) + 0.1 * (i + 1));
        }
        (a.pow(3).sum() + b.pow(3).sum()).backward();
      }
      optimizer.step();
    }
    return std::make_pair(a, b);
  };
  const auto forward = train(false), backward = train(true);
  EXPECT_TRUE(same_bits(forward.first, backward.first));
  EXPECT_TRUE(same_bits(forward.second, backward.second));
}

}  // namespace
