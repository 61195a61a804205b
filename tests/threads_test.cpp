// SPDX-License-Identifier: Apache-2.0
// docs/threads.md: a second thread gets an error that says so, whatever it calls, and nothing is
// lost; two models train in two threads.
#include <functional>
#include <ivon/ivon.hpp>
#include <sstream>
#include <thread>
#include <vector>

#include "pch.hpp"
#include "support.hpp"

namespace {

using ivon::IVON;
using ivon::IVONOptions;
using ivon_test::message_of;
using ivon_test::same_bits;

IVONOptions loop_options(bool on_step) {
  return IVONOptions(0.1).ess(100).beta2(0.9).sample_on_step(on_step);
}

std::string message_in_thread(const std::function<void()>& call) {
  std::string message;
  std::thread([&] { message = message_of(call); }).join();
  return message;
}

TEST(Threads, ACallWhileAnotherThreadIsInsideOneIsAnError) {
  for (const bool on_step : {false, true}) {
    auto weight = torch::linspace(-1, 1, 8).requires_grad_();
    IVON optimizer({weight}, loop_options(on_step));
    const auto predict = [&] {
      (void)ivon::predict(
          optimizer,
          [&] {
            return weight.view({2, 4});
          },
          2);
    };
    const std::vector<std::pair<const char*, std::function<void()>>> calls = {
        {"predict()", predict},
        {"sampled_params()", [&] { (void)optimizer.sampled_params(); }},
        {"step()", [&] { optimizer.step(); }},
        {"zero_grad()", [&] { optimizer.zero_grad(); }},
        {"train()", [&] { optimizer.train(); }},
        {"eval()", [&] { optimizer.eval(); }},
        {"mean_params()", [&] { (void)optimizer.mean_params(); }},
        {"manual_seed()", [&] { optimizer.manual_seed(1); }},
        {"mean()", [&] { (void)optimizer.mean(weight); }},
        {"param_state()", [&] { (void)optimizer.param_state(weight); }},
        {"add_param_group()",
         [&] {
           optimizer.add_param_group(
               torch::optim::OptimizerParamGroup({torch::ones({2}).requires_grad_()}));
         }},
        {"save()",
         [&] {
           std::stringstream out;
           torch::save(optimizer, out);
         }},
    };
    optimizer.step([&] {
      optimizer.zero_grad();  // calls nest within a thread
      for (const auto& [name, call] : calls) {
        EXPECT_EQ(message_in_thread(call),
                  std::string("ivon: ") + name +
                      " was called while another thread is inside step() of the same optimizer; "
                      "use an optimizer and its model from one thread at a time, and predict in "
                      "another thread with a copy of both (docs/threads.md)");
      }
      auto loss = weight.pow(3).sum();
      loss.backward();
      return loss;
    });
    EXPECT_EQ(optimizer.param_state(weight).step(), 1);
    EXPECT_EQ(message_in_thread(predict), "") << "handed over, outside a call";
  }
}

TEST(Threads, ACallWhileAnotherThreadShowsASampleIsAnError) {
  auto weight = torch::linspace(-1, 1, 8).requires_grad_();
  IVON optimizer({weight}, loop_options(false));
  const auto before = weight.detach().clone();
  {
    const auto sample = optimizer.sampled_params();
    EXPECT_EQ(message_in_thread([&] {
                (void)ivon::predict(
                    optimizer,
                    [&] {
                      return weight.view({2, 4});
                    },
                    2);
              }),
              "ivon: predict() must be called outside a sample, but one is shown; end the scope of "
              "sampled_params() first");
  }
  EXPECT_TRUE(same_bits(weight, before));
}

// The trainer's calls and the other thread's may meet in any order: one of both gets an error, and
// the weights are never lost.
TEST(Threads, PredictingWhileTrainingIsAnErrorOrWorks) {
  const ivon_test::OneThread one_thread;
  auto weight = torch::linspace(-1, 1, 64).requires_grad_();
  IVON optimizer({weight}, loop_options(false).lr(0));  // so that the mean stays as it is
  std::atomic<bool> stop{false};
  std::thread other([&] {
    torch::NoGradGuard no_grad;
    while (!stop) {
      (void)message_of([&] { const auto sample = optimizer.sampled_params(); });
    }
  });
  for (int i = 0; i < 300; ++i) {
    const std::string message = message_of([&] {
      optimizer.zero_grad();
      {
        const auto sample = optimizer.sampled_params();
        weight.mutable_grad() = torch::full({64}, 0.01F);
      }
      optimizer.step();
    });
    EXPECT_TRUE(message.empty() ||
                message.find("while another thread is inside") != std::string::npos ||
                message.find("must be called outside a sample") != std::string::npos ||
                message.find("needs a sample with gradients") != std::string::npos)
        << message;
  }
  stop = true;
  other.join();
  EXPECT_TRUE(same_bits(weight, torch::linspace(-1, 1, 64)));
}

TEST(Threads, TwoModelsTrainInTwoThreads) {
  const auto train = [](torch::Tensor& mean) {
    auto weight = torch::linspace(-1, 1, 5000).requires_grad_();
    IVON optimizer({weight}, loop_options(false));
    optimizer.manual_seed(4);
    for (int i = 0; i < 50; ++i) {
      optimizer.zero_grad();
      {
        const auto sample = optimizer.sampled_params();
        weight.mutable_grad() = weight.detach() * 2;
      }
      optimizer.step();
    }
    mean = optimizer.mean(weight);
  };
  torch::Tensor alone, first, second;
  train(alone);
  std::thread a([&] { train(first); }), b([&] { train(second); });
  a.join();
  b.join();
  EXPECT_TRUE(same_bits(first, alone));
  EXPECT_TRUE(same_bits(second, alone));
}

}  // namespace
