// SPDX-License-Identifier: Apache-2.0
// Every mistake that the documentation lists: the exact message, and that nothing is lost.
#include <cmath>
#include <ivon/optimizer.hpp>

#include "pch.hpp"
#include "support.hpp"

namespace {

using ivon::IVON;
using ivon::IVONOptions;
using ivon_test::message_of;
using ivon_test::same_bits;
using torch::optim::OptimizerParamGroup;

IVONOptions usual_options() { return IVONOptions(0.1).ess(1000); }

torch::Tensor parameter(at::IntArrayRef shape, at::ScalarType dtype = at::kFloat) {
  return torch::randn(shape, torch::dtype(at::kDouble)).to(dtype).requires_grad_();
}

void sample_with_gradients(IVON<>& optimizer, const std::vector<torch::Tensor>& parameters) {
  auto sample = optimizer.sampled_params();
  for (const auto& tensor : parameters) tensor.mutable_grad() = torch::ones_like(tensor);
}

OptimizerParamGroup group(std::vector<torch::Tensor> parameters, IVONOptions group_options) {
  return {std::move(parameters), std::make_unique<IVONOptions>(std::move(group_options))};
}

// --- options ------------------------------------------------------------------------------------

TEST(BadInput, OptionsAtConstruction) {
  EXPECT_EQ(message_of([] { IVON optimizer({parameter({2})}, IVONOptions(0.1)); }),
            "ivon: ess must be > 0, got 0; set it to the number of training examples: "
            "ivon::IVONOptions::like_adamw(/*lr=*/1e-3, /*ess=*/60'000) trains with AdamW's "
            "learning rate and loop, "
            "ivon::IVONOptions(0.1).ess(60'000) with the paper's");
  EXPECT_EQ(message_of([] { IVON optimizer({parameter({2})}, usual_options().lr(-1)); }),
            "ivon: lr must be finite and >= 0, got -1; a good start is 0.1");
  EXPECT_EQ(message_of([] {
              IVON optimizer({parameter({2})}, usual_options().sample_on_step(true).mc_samples(2));
            }),
            "ivon: mc_samples must be 1 with sample_on_step, got 2; write the standard loop for "
            "several samples a step");
}

TEST(BadInput, OptionsOfAGroup) {
  IVON optimizer({parameter({2})}, usual_options());
  EXPECT_EQ(message_of([&] {
              optimizer.add_param_group(group({parameter({2})}, IVONOptions().hess_init(0)));
            }),
            "ivon: parameter group 1: hess_init must be finite and > 0, got 0; use 0.01 to 1");
  EXPECT_EQ(message_of([&] {
              optimizer.add_param_group(group({parameter({2})}, IVONOptions().mc_samples(3)));
            }),
            "ivon: parameter group 1: mc_samples must be the optimizer's 1, got 3; all groups are "
            "sampled together");
  EXPECT_EQ(
      message_of([&] {
        optimizer.add_param_group(group({parameter({2})}, IVONOptions().sample_on_step(true)));
      }),
      "ivon: parameter group 1: sample_on_step must be the optimizer's false, got the "
      "opposite; all groups are sampled together");
  EXPECT_EQ(message_of([&] {
              optimizer.add_param_group(OptimizerParamGroup(
                  {parameter({2})}, std::make_unique<torch::optim::AdamWOptions>(0.1)));
            }),
            "ivon: parameter group 1: its options must be ivon::IVONOptions, got those of another "
            "optimizer; pass std::make_unique<ivon::IVONOptions>(...)");
  EXPECT_EQ(optimizer.param_groups().size(), 1u) << "a refused group leaves no trace";
}

TEST(BadInput, OptionsWrittenLater) {
  auto weight = parameter({2});
  IVON optimizer({weight}, usual_options());
  sample_with_gradients(optimizer, {weight});
  const auto before = weight.detach().clone();
  auto& live = static_cast<IVONOptions&>(optimizer.param_groups()[0].options());
  live.ess() = -3;
  EXPECT_EQ(message_of([&] { optimizer.step(); }),
            "ivon: parameter group 0: ess must be > 0, got -3; set it to the number of training "
            "examples");
  EXPECT_TRUE(same_bits(weight, before));
  live.ess() = 1000;
  optimizer.step();  // the sample is still there
  EXPECT_FALSE(same_bits(weight, before));
}

// --- parameters ---------------------------------------------------------------------------------

TEST(BadInput, TensorInTwoGroups) {
  auto shared = parameter({2, 3});
  EXPECT_EQ(
      message_of([&] {
        IVON optimizer({group({parameter({1}), shared}, {}), group({shared}, {})}, usual_options());
      }),
      "ivon: parameter 1 (group 0, shape [2, 3]) is in group 1 too; list it in one group only");
}

TEST(BadInput, OverlappingTensors) {
  auto base = torch::zeros({4, 4});
  auto whole = base.detach().requires_grad_();
  auto rows = base.detach().narrow(0, 1, 2).requires_grad_();
  EXPECT_EQ(message_of([&] {
              IVON optimizer({whole, rows}, usual_options());
            }),
            "ivon: parameter 0 (group 0, shape [4, 4]) and parameter 1 (group 0, shape [2, 4]) are "
            "distinct tensors that overlap in memory; pass the one that holds both");
  // Interleaved columns share a stretch of memory, but no element.
  auto left = base.detach().narrow(1, 0, 2).requires_grad_();
  auto right = base.detach().narrow(1, 2, 2).requires_grad_();
  EXPECT_EQ(message_of([&] { IVON optimizer({left, right}, usual_options()); }), "");
}

TEST(BadInput, TensorsThatCannotBeTrained) {
  EXPECT_EQ(message_of([] {
              IVON optimizer({parameter({1}), torch::Tensor()}, usual_options());
            }),
            "ivon: parameter 1 (group 0) is an undefined tensor; pass initialised parameters");
  EXPECT_EQ(
      message_of([] {
        IVON optimizer({parameter({1}), parameter({2}) * 2}, usual_options());
      }),
      "ivon: parameter 1 (group 0, shape [2]) must be a leaf, but it is the result of an "
      "operation; pass the tensor it was made from, or detach() it and call requires_grad_()");
  EXPECT_EQ(message_of([] { IVON optimizer({torch::zeros({2}, torch::kLong)}, usual_options()); }),
            "ivon: parameter 0 (group 0, shape [2]) must be float32, float64, bfloat16 or float16, "
            "got Long; leave it out of the optimizer");
  EXPECT_EQ(message_of(
                [] { IVON optimizer({torch::zeros({2}, torch::kComplexFloat)}, usual_options()); }),
            "ivon: parameter 0 (group 0, shape [2]) must be float32, float64, bfloat16 or float16, "
            "got ComplexFloat; leave it out of the optimizer");
  EXPECT_EQ(
      message_of(
          [] { IVON optimizer({torch::eye(2).to_sparse().requires_grad_()}, usual_options()); }),
      "ivon: parameter 0 (group 0, shape [2, 2]) must be dense, got layout Sparse; keep sparse "
      "parameters with another optimizer");
  EXPECT_EQ(message_of([] {
              IVON optimizer({torch::zeros({1}).expand({3}).detach().requires_grad_()},
                             usual_options());
            }),
            "ivon: parameter 0 (group 0, shape [3]) must have a memory location for each element, "
            "got strides [0]; clone() it");
}

TEST(BadInput, ForeignAndFrozenTensors) {
  auto weight = parameter({2});
  auto frozen = torch::zeros({3});
  IVON optimizer({weight, frozen}, usual_options());
  const std::string foreign =
      "ivon: the tensor is no parameter of this optimizer; pass one that a parameter group lists";
  EXPECT_EQ(message_of([&] { optimizer.param_state(torch::zeros({2})); }), foreign);
  EXPECT_EQ(message_of([&] { optimizer.mean(torch::Tensor()); }), foreign);
  EXPECT_EQ(message_of([&] { optimizer.param_state(weight); }),
            "ivon: parameter 0 (group 0, shape [2]) has no state yet; it is created by the first "
            "sample");
  EXPECT_EQ(
      message_of([&] { optimizer.param_state(frozen); }),
      "ivon: parameter 1 (group 0, shape [3]) has no state yet: it is frozen (requires_grad is "
      "false)");
}

TEST(BadInput, ParameterChangedAfterItsStateExists) {
  auto weight = parameter({2, 2});
  IVON optimizer({weight}, usual_options());
  { auto sample = optimizer.sampled_params(); }
  weight.set_data(torch::zeros({2, 2}, torch::kDouble));
  EXPECT_EQ(message_of([&] { auto sample = optimizer.sampled_params(); }),
            "ivon: parameter 0 (group 0, shape [2, 2]) was converted to Double after its state was "
            "created for Float; convert the model before the first sample (with sample_on_step: "
            "before the optimizer is built), or build a new optimizer");
  weight.set_data(torch::zeros({3}));
  EXPECT_EQ(message_of([&] { auto sample = optimizer.sampled_params(); }),
            "ivon: parameter 0 (group 0, shape [3]) was resized after its state was created with "
            "shape [2, 2]; build a new optimizer");
}

TEST(BadInput, ParameterReplacedInsideAScope) {
  const std::string message =
      "ivon: parameter 0 (group 0, shape [4]) was resized or re-pointed while it showed a sample; "
      "its mean was put back and the sample dropped; change a model's parameters outside "
      "sampled_params(), and with sample_on_step before the optimizer is built";
  auto weight = parameter({4});
  const auto mean = weight.detach().clone();
  IVON optimizer({weight}, usual_options());
  {
    auto sample = optimizer.sampled_params();
    weight.mutable_grad() = torch::ones({4});
    weight.set_data(torch::zeros({4}));
  }
  EXPECT_TRUE(same_bits(weight, mean));
  EXPECT_EQ(message_of([&] { auto sample = optimizer.sampled_params(); }), message);
  sample_with_gradients(optimizer, {weight});  // said once; the next iteration is valid
  optimizer.step();
}

// --- gradients ----------------------------------------------------------------------------------

TEST(BadInput, SparseGradients) {
  torch::nn::Embedding embedding(torch::nn::EmbeddingOptions(5, 2).sparse(true));
  IVON optimizer(embedding->parameters(), usual_options());
  const auto before = embedding->weight.detach().clone();
  {
    auto sample = optimizer.sampled_params();
    embedding->forward(torch::tensor({1, 3})).sum().backward();
  }
  EXPECT_EQ(message_of([&] { optimizer.step(); }),
            "ivon: the gradient of parameter 0 (group 0, shape [5, 2]) must be dense, got layout "
            "Sparse; switch sparse gradients off (EmbeddingOptions::sparse(false))");
  EXPECT_TRUE(same_bits(embedding->weight, before));
  optimizer.zero_grad();  // the sample was dropped, so nothing stands in the way
}

TEST(BadInput, GradientsThatDoNotFit) {
  auto weight = parameter({2, 3});
  IVON optimizer({weight}, usual_options());
  const auto before = weight.detach().clone();
  const auto message_for = [&](const torch::Tensor& gradient) {
    {
      auto sample = optimizer.sampled_params();
      weight.mutable_grad() = gradient;
    }
    const std::string message = message_of([&] { optimizer.step(); });
    weight.mutable_grad() = torch::Tensor();
    return message;
  };
  const std::string rule =
      "ivon: the gradient of parameter 0 (group 0, shape [2, 3]) must have the parameter's shape, "
      "device and dtype, got shape ";
  EXPECT_EQ(message_for(torch::zeros({3, 2})),
            rule + "[3, 2] on cpu in Float; assign a matching one");
  EXPECT_EQ(message_for(torch::zeros({2, 3}, torch::kDouble)),
            rule + "[2, 3] on cpu in Double; assign a matching one");
  EXPECT_EQ(message_for(torch::zeros({2, 3}, torch::kMeta)),
            rule + "[2, 3] on meta in Float; assign a matching one");
  EXPECT_TRUE(same_bits(weight, before));
}

TEST(BadInput, GradientsOfOtherStridesAreFine) {
  auto weight = parameter({2, 3});
  auto twin = weight.detach().clone().requires_grad_();
  const auto gradient = torch::randn({3, 2}).t();
  const auto train = [&](torch::Tensor& tensor, const torch::Tensor& grad) {
    IVON optimizer({tensor}, usual_options());
    optimizer.manual_seed(1);
    {
      auto sample = optimizer.sampled_params();
      tensor.mutable_grad() = grad;
    }
    optimizer.step();
  };
  train(weight, gradient);
  train(twin, gradient.contiguous());
  EXPECT_TRUE(same_bits(weight, twin));
}

TEST(BadInput, GradientsGoneBeforeTheyWereRead) {
  auto weight = parameter({2});
  IVON optimizer({weight}, usual_options());
  sample_with_gradients(optimizer, {weight});
  weight.mutable_grad() = torch::Tensor();  // what model->zero_grad() does
  EXPECT_EQ(
      message_of([&] { optimizer.step(); }),
      "ivon: the gradient of parameter 0 (group 0, shape [2]) was there when its sample ended "
      "and is gone now; call the optimizer's own zero_grad(), which reads it first, or step() "
      "before clearing gradients");
}

TEST(BadInput, GradientsAddedToThoseOfAnEarlierSample) {
  auto weight = parameter({2});
  IVON optimizer({weight}, usual_options());
  const auto backward = [&] { (weight * 2).sum().backward(); };
  {
    auto sample = optimizer.sampled_params();
    backward();
  }
  {
    auto sample = optimizer.sampled_params();
    backward();
  }
  EXPECT_EQ(
      message_of([&] { optimizer.step(); }),
      "ivon: the gradient of parameter 0 (group 0, shape [2]) was added to one that an earlier "
      "sample already used; call the optimizer's zero_grad() before each sample");
}

TEST(BadInput, StepWithoutASample) {
  auto weight = parameter({2});
  IVON optimizer({weight}, usual_options());
  const std::string message =
      "ivon: step() needs a sample with gradients, got none since the last step; compute the loss "
      "and call backward() inside { auto sample = optimizer.sampled_params(); ... }, pass a "
      "closure: step(closure), or set sample_on_step(true), which leaves the loop as it is";
  EXPECT_EQ(message_of([&] { optimizer.step(); }), message);
  weight.mutable_grad() = torch::ones({2});
  EXPECT_EQ(message_of([&] { optimizer.step(); }), message);
  { auto sample = optimizer.sampled_params(); }  // no gradient changed in it
  EXPECT_EQ(message_of([&] { optimizer.step(); }), message);
  EXPECT_EQ(
      message_of([&] { optimizer.step([] { return torch::ones({}); }); }),
      "ivon: the closure of step() must leave gradients, got none; call backward() on the loss "
      "in it");
}

// --- calls at the wrong time: the table of docs/options.md --------------------------------------

TEST(BadInput, CallsInsideAScope) {
  auto weight = parameter({2});
  IVON optimizer({weight}, usual_options());
  const auto mean = weight.detach().clone();
  std::stringstream stream;
  torch::serialize::OutputArchive archive;
  {
    auto sample = optimizer.sampled_params();
    const auto message = [](const char* call) {
      return "ivon: " + std::string(call) +
             " must be called outside a sample, but one is shown; end the scope of "
             "sampled_params() "
             "first";
    };
    EXPECT_EQ(message_of([&] { (void)optimizer.sampled_params(); }), message("sampled_params()"));
    EXPECT_EQ(message_of([&] { optimizer.step(); }), message("step()"));
    EXPECT_EQ(message_of([&] { optimizer.step([] { return torch::Tensor(); }); }),
              message("step()"));
    EXPECT_EQ(message_of([&] { optimizer.add_param_group({{parameter({1})}}); }),
              message("add_param_group()"));
    EXPECT_EQ(message_of([&] { optimizer.train(); }), message("train()"));
    EXPECT_EQ(message_of([&] { optimizer.eval(); }), message("eval()"));
    EXPECT_EQ(message_of([&] { (void)optimizer.mean_params(); }), message("mean_params()"));
    EXPECT_EQ(message_of([&] { optimizer.manual_seed(1); }), message("manual_seed()"));
    EXPECT_EQ(message_of([&] { optimizer.save(archive); }), message("save()"));
    torch::serialize::InputArchive empty;
    EXPECT_EQ(message_of([&] { optimizer.load(empty); }), message("load()"));
    EXPECT_EQ(message_of([&] {
                torch::NoGradGuard no_grad;
                (void)optimizer.sampled_params();
              }),
              message("sampled_params()"));
    optimizer.zero_grad();  // allowed
    EXPECT_TRUE(same_bits(optimizer.mean(weight), mean));
    EXPECT_FALSE(same_bits(weight, mean));
  }
  EXPECT_TRUE(same_bits(weight, mean));
}

TEST(BadInput, SaveWhileASampleIsPending) {
  auto weight = parameter({2});
  IVON optimizer({weight}, usual_options());
  sample_with_gradients(optimizer, {weight});
  torch::serialize::OutputArchive archive;
  const std::string message =
      "ivon: save() between a sample and its step() would lose the sample; call step() first";
  EXPECT_EQ(message_of([&] { optimizer.save(archive); }), message);
  optimizer.zero_grad();  // harvested, still not stepped
  EXPECT_EQ(message_of([&] { optimizer.save(archive); }), message);
  optimizer.step();
  optimizer.save(archive);
}

TEST(BadInput, MovedFromOptimizer) {
  IVON optimizer({parameter({2})}, usual_options());
  IVON moved = std::move(optimizer);
  EXPECT_EQ(
      message_of([&] { (void)optimizer.sampled_params(); }),  // NOLINT(bugprone-use-after-move)
      "ivon: this optimizer was moved from; use the one it was moved to");
}

}  // namespace
