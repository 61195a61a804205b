// SPDX-License-Identifier: Apache-2.0
// The image classifiers of examples/common/models: sizes, normalisation, memory order and the files
// of their parameters. python/image_models.py compares them with torchvision.
#include "common/models/image_models.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <filesystem>
#include <fstream>
#include <ivon/posterior/internal/atomic_file.hpp>
#include <ivon/posterior/internal/pickled_file.hpp>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/models/filter_response_norm.hpp"
#include "common/models/small_resnet.hpp"
#include "common/models/state_dict.hpp"
#include "common/models/vit.hpp"
#include "small.hpp"

namespace {

using examples::make_image_model;
using examples_test::error_of;
using testing::AllOf;
using testing::HasSubstr;
using torch::Tensor;

int64_t parameters_of(const torch::nn::Module& module) {
  int64_t count = 0;
  for (const Tensor& p : module.parameters()) count += p.numel();
  return count;
}

// Random values also where a model begins with zeros or ones, such as a head or a threshold.
void randomize(torch::nn::Module& module) {
  const torch::NoGradGuard no_grad;
  for (Tensor& p : module.parameters()) p.add_(torch::randn_like(p), 0.05);
}

TEST(ImageModels, OfImageNetHaveAsManyParametersAsTorchvisions) {
  const std::map<std::string, int64_t> counts = {{"resnet18", 11'689'512},
                                                 {"resnet34", 21'797'672},
                                                 {"resnet50", 25'557'032},
                                                 {"resnet101", 44'549'160},
                                                 {"vit_b_16", 86'567'656}};
  for (const auto& [name, count] : counts) {
    EXPECT_EQ(parameters_of(*make_image_model(name, 3, 1000, 224)), count) << name;
  }
}

TEST(ImageModels, OfSmallImagesHaveAsManyParametersAsByHand) {
  const std::map<std::string, int64_t> counts = {{"resnet18_small", 11'173'962},
                                                 {"resnet20", 272'474},
                                                 {"resnet20_frn", 273'162},
                                                 {"preresnet110", 1'730'522},
                                                 {"vit_tiny", 1'806'538}};
  for (const auto& [name, count] : counts) {
    EXPECT_EQ(parameters_of(*make_image_model(name, 3, 10, 32)), count) << name;
  }
  EXPECT_EQ(parameters_of(*make_image_model("lenet", 1, 10, 28)), 61'706);
}

TEST(ImageModels, GiveLogitsOfEachImage) {
  const torch::NoGradGuard no_grad;
  for (const auto& info : examples::image_models()) {
    if (info.side > 32) continue;
    const auto model = make_image_model(info.name, 2, 7, 16);
    EXPECT_EQ(model->forward(torch::randn({2, 2, 16, 16})).sizes(), (torch::IntArrayRef{2, 7}))
        << info.name;
  }
  EXPECT_EQ(make_image_model("resnet50", 1, 5, 33)->forward(torch::randn({2, 1, 33, 33})).sizes(),
            (torch::IntArrayRef{2, 5}));
}

TEST(ImageModels, GiveEveryParameterAGradient) {
  for (const char* name : {"resnet20", "resnet20_frn", "lenet", "vit_tiny"}) {
    const auto model = make_image_model(name, 3, 10, 16);
    randomize(*model);
    model->forward(torch::randn({2, 3, 16, 16})).square().sum().backward();
    for (const auto& p : model->named_parameters()) {
      EXPECT_TRUE(p.value().grad().defined() && p.value().grad().abs().max().item<float>() > 0)
          << name << " " << p.key();
    }
  }
}

TEST(ImageModels, ChannelsLastKeepsValues) {
  const torch::NoGradGuard no_grad;
  for (const char* name : {"resnet18", "resnet20_frn", "preresnet110", "lenet", "vit_tiny"}) {
    const auto model = make_image_model(name, 3, 10, 16);
    randomize(*model);
    model->eval();
    const Tensor images = torch::randn({2, 3, 16, 16});
    const Tensor before = model->forward(images);
    examples::to_channels_last(*model);
    for (const Tensor& p : model->parameters()) {
      EXPECT_TRUE(p.dim() != 4 || p.is_contiguous(torch::MemoryFormat::ChannelsLast));
    }
    const Tensor after = model->forward(images.contiguous(torch::MemoryFormat::ChannelsLast));
    EXPECT_LT((after - before).abs().max().item<double>(), 1e-4 * before.abs().max().item<double>())
        << name;
  }
}

TEST(ImageModels, WrongArgumentsAreErrors) {
  EXPECT_THAT(error_of([] { make_image_model("resnet17", 3, 10, 32); }),
              AllOf(HasSubstr("'resnet17'"), HasSubstr("resnet18"), HasSubstr("vit_b_16")));
  EXPECT_THAT(error_of([] { make_image_model("vit_tiny", 3, 10, 30); }),
              AllOf(HasSubstr("30"), HasSubstr("choose 32")));
  EXPECT_THAT(error_of([] { make_image_model("lenet", 3, 10, 11); }), HasSubstr("at least 12"));
  EXPECT_THROW(make_image_model("resnet20", 3, 0, 32), std::invalid_argument);
  auto few_heads = examples::vit_tiny();
  few_heads.heads = -3;
  EXPECT_THAT(error_of([&] { examples::VisionTransformer model(few_heads); }),
              HasSubstr("the number of heads must be at least 1, but is -3"));
  EXPECT_THAT(error_of([] { examples::VisionTransformer model(examples::ViTOptions{-16}); }),
              AllOf(HasSubstr("but is -16"), HasSubstr("choose 16 or")));
  const auto vit = make_image_model("vit_tiny", 3, 10, 32);
  EXPECT_THROW(vit->forward(torch::randn({1, 3, 16, 16})), std::invalid_argument);
}

TEST(ImageModels, DropoutOfVisionTransformersIsForTraining) {
  auto options = examples::vit_tiny();
  options.dropout = 0.3;
  options.layers = 1;
  examples::VisionTransformer model(options);
  randomize(model);
  const Tensor images = torch::randn({1, 3, 32, 32});
  EXPECT_FALSE(torch::equal(model.forward(images), model.forward(images)));
  model.eval();
  EXPECT_TRUE(torch::equal(model.forward(images), model.forward(images)));
}

// max(gamma x / sqrt(mean x^2 + 1e-6) + beta, tau) by single operations.
Tensor frn_formula(const Tensor& x, const Tensor& gamma, const Tensor& beta, const Tensor& tau) {
  const auto wide = [](const Tensor& t) { return t.view({1, -1, 1, 1}); };
  const Tensor nu = x.square().mean({2, 3}, /*keepdim=*/true);
  return torch::maximum(wide(gamma) * x / torch::sqrt(nu + 1e-6) + wide(beta), wide(tau));
}

struct FrnLayers {
  explicit FrnLayers(torch::ScalarType type) : norm(3), threshold(3) {
    torch::manual_seed(5);
    randomize(*norm);
    randomize(*threshold);
    norm->to(type);
    threshold->to(type);
    x = torch::randn({4, 3, 5, 6}, type).requires_grad_();
  }
  Tensor forward() { return threshold->forward(norm->forward(x)); }
  Tensor formula() { return frn_formula(x, norm->gamma, norm->beta, threshold->tau); }
  std::vector<Tensor> leaves() { return {x, norm->gamma, norm->beta, threshold->tau}; }

  examples::FilterResponseNorm norm;
  examples::ThresholdedLinearUnit threshold;
  Tensor x;
};

TEST(FilterResponseNorm, IsItsFormula) {
  FrnLayers layers(torch::kDouble);
  EXPECT_TRUE(torch::allclose(layers.forward(), layers.formula(), 1e-12, 1e-12));
  FrnLayers single(torch::kFloat);
  EXPECT_TRUE(torch::allclose(single.forward(), single.formula(), 1e-5, 1e-6));
}

TEST(FilterResponseNorm, HasTheGradientOfItsFormula) {
  FrnLayers layers(torch::kDouble);
  const Tensor weights = torch::randn({4, 3, 5, 6}, torch::kDouble);
  const auto own = torch::autograd::grad({(layers.forward() * weights).sum()}, layers.leaves());
  const auto expected =
      torch::autograd::grad({(layers.formula() * weights).sum()}, layers.leaves());
  for (size_t i = 0; i < own.size(); ++i) {
    EXPECT_TRUE(torch::allclose(own[i], expected[i], 1e-10, 1e-12)) << i;
  }
}

TEST(FilterResponseNorm, OfAChannelOfZerosIsFinite) {
  FrnLayers layers(torch::kFloat);
  const Tensor zeros = torch::zeros({2, 3, 4, 4}, torch::requires_grad());
  const Tensor y = layers.norm->forward(zeros);
  y.sum().backward();
  EXPECT_TRUE(torch::equal(y[1].mean({1, 2}), layers.norm->beta));
  EXPECT_TRUE(torch::isfinite(zeros.grad()).all().item<bool>());
}

TEST(FilterResponseNorm, KeepsOrderAndType) {
  FrnLayers layers(torch::kFloat);
  const auto x = layers.x.detach()
                     .to(torch::kBFloat16, false, true, torch::MemoryFormat::ChannelsLast)
                     .requires_grad_();
  const Tensor y = layers.threshold->forward(layers.norm->forward(x));
  y.sum().backward();
  for (const Tensor& t : {y, x.grad()}) {
    EXPECT_TRUE(t.is_contiguous(torch::MemoryFormat::ChannelsLast));
    EXPECT_EQ(t.scalar_type(), torch::kBFloat16);
  }
  EXPECT_EQ(layers.threshold->tau.grad().scalar_type(), torch::kFloat);
  EXPECT_TRUE(torch::allclose(y.to(torch::kFloat), layers.formula(), 2e-2, 2e-2));
}

TEST(StateDict, ComesBackWithParametersAndBuffers) {
  const examples_test::Folder folder("state_dict");
  const auto model = make_image_model("resnet20", 3, 10, 32);
  model->forward(torch::randn({2, 3, 32, 32}));  // moves running statistics
  examples::to_channels_last(*model);
  examples::save_state_dict(*model, folder.path / "a.pt");
  const auto other = make_image_model("resnet20", 3, 10, 32);
  examples::load_state_dict(*other, folder.path / "a.pt");
  for (const auto& p : model->named_parameters()) {
    EXPECT_TRUE(torch::equal(p.value(), other->named_parameters()[p.key()])) << p.key();
  }
  for (const auto& b : model->named_buffers()) {
    EXPECT_TRUE(torch::equal(b.value(), other->named_buffers()[b.key()])) << b.key();
  }
}

TEST(StateDict, OfAnotherModelChangesNothing) {
  const examples_test::Folder folder("other_state_dict");
  const auto file = folder.path / "a.pt";
  examples::save_state_dict(*make_image_model("lenet", 1, 10, 28), file);
  const auto wide = make_image_model("lenet", 3, 9, 28);
  const Tensor before = wide->parameters()[2].detach().clone();
  EXPECT_THAT(error_of([&] { examples::load_state_dict(*wide, file); }),
              AllOf(HasSubstr("a.pt"), HasSubstr("conv1.weight [6, 1, 5, 5], not [6, 3, 5, 5]"),
                    HasSubstr("fc3.bias [10], not [9]")));
  EXPECT_TRUE(torch::equal(wide->parameters()[2], before));
  const auto resnet = make_image_model("resnet20", 3, 10, 32);
  EXPECT_THAT(error_of([&] { examples::load_state_dict(*resnet, file); }),
              AllOf(HasSubstr("missing: "), HasSubstr("and "), HasSubstr("unknown: conv1.bias")));
}

TEST(StateDict, OtherFilesAreErrors) {
  const examples_test::Folder folder("no_state_dict");
  const auto model = make_image_model("lenet", 1, 10, 28);
  EXPECT_THAT(error_of([&] { examples::load_state_dict(*model, folder.path / "none.pt"); }),
              HasSubstr("cannot be opened"));
  examples::save_state_dict(*model, folder.path / "a.pt");
  std::filesystem::resize_file(folder.path / "a.pt", 1000);
  EXPECT_THAT(error_of([&] { examples::load_state_dict(*model, folder.path / "a.pt"); }),
              HasSubstr("truncated"));
  const std::vector<char> number = torch::pickle_save(3.0);
  std::ofstream(folder.path / "b.pt", std::ios::binary)
      .write(number.data(), static_cast<std::streamsize>(number.size()));
  EXPECT_THAT(error_of([&] { examples::load_state_dict(*model, folder.path / "b.pt"); }),
              HasSubstr("save model.state_dict()"));
  EXPECT_THAT(error_of([&] { examples::save_state_dict(*model, folder.path / "no" / "a.pt"); }),
              HasSubstr("cannot be written"));
}

// What load_state_dict() says of a file whose "bias", of 4 numbers, is a tensor with these sizes,
// strides and offset on a storage of `stored` numbers.
std::string error_of_forged_bias(const std::filesystem::path& file, int64_t stored,
                                 const std::vector<int64_t>& sizes,
                                 const std::vector<int64_t>& strides, int64_t offset) {
  torch::nn::Linear linear(3, 4);
  Tensor bias = torch::ones({stored});
  bias.unsafeGetTensorImpl()->set_sizes_and_strides(sizes, strides);
  bias.unsafeGetTensorImpl()->set_storage_offset(offset);
  c10::Dict<std::string, Tensor> tensors;
  tensors.insert("weight", torch::ones({4, 3}));
  tensors.insert("bias", bias);
  ivon::detail::AtomicFile out(file.string());
  ivon::detail::write_pickled(tensors, out);
  EXPECT_EQ(out.commit(), "");
  return error_of([&] { examples::load_state_dict(*linear, file); });
}

TEST(StateDict, ForgedPlacesAreErrors) {
  const examples_test::Folder folder("forged_state_dict");
  const auto file = folder.path / "a.pt";
  const auto larger = HasSubstr("a.pt: cannot be loaded: ");  // some LibTorch says what is wrong
  EXPECT_EQ(error_of_forged_bias(file, 4, {4}, {1}, 0), "");
  EXPECT_EQ(error_of_forged_bias(file, 1, {4}, {0}, 0), "");
  EXPECT_THAT(error_of_forged_bias(file, 3, {4}, {1}, 0), larger);
  EXPECT_THAT(error_of_forged_bias(file, 4, {4}, {int64_t{1} << 62}, 0), larger);
  EXPECT_THAT(error_of_forged_bias(file, 4, {4}, {1}, 1), larger);
  EXPECT_THAT(error_of_forged_bias(file, 0, {4}, {1}, 0), larger);
}

}  // namespace
