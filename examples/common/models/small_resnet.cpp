// SPDX-License-Identifier: Apache-2.0
#include "common/models/small_resnet.hpp"

#include <array>

#include "common/models/filter_response_norm.hpp"

namespace examples {
namespace {

using torch::Tensor;

constexpr std::array<int64_t, 3> kStageChannels = {16, 32, 64};

struct BatchNormReluParts {
  using Norm = torch::nn::BatchNorm2d;
  // Overwrites x, as the thresholded linear unit does.
  struct ActivationImpl : torch::nn::Module {
    explicit ActivationImpl(int64_t /*channels*/) {}
    static Tensor forward(Tensor x) { return x.relu_(); }
  };
  using Activation = torch::nn::ModuleHolder<ActivationImpl>;
};

struct FilterResponseParts {
  using Norm = FilterResponseNorm;
  using Activation = ThresholdedLinearUnit;
};

// x [n, in, side, side] -> [n, out, side / stride, side / stride]
template <class Parts>
struct SmallBlock : torch::nn::Module {
  SmallBlock(int64_t in, int64_t out, int64_t stride)
      : conv1(register_module("conv1", same_convolution(in, out, 3, stride))),
        conv2(register_module("conv2", same_convolution(out, out, 3))),
        norm1(register_module("norm1", typename Parts::Norm(out))),
        norm2(register_module("norm2", typename Parts::Norm(out))),
        activation1(register_module("activation1", typename Parts::Activation(out))),
        activation2(register_module("activation2", typename Parts::Activation(out))) {
    if (stride == 1 && in == out) return;
    shortcut = register_module(
        "shortcut",
        torch::nn::Sequential(same_convolution(in, out, 1, stride), typename Parts::Norm(out)));
  }

  Tensor forward(const Tensor& x) {
    const Tensor inner = activation1->forward(norm1->forward(conv1->forward(x)));
    Tensor y = norm2->forward(conv2->forward(inner));
    y.add_(shortcut.is_empty() ? x : shortcut->forward(x));
    return activation2->forward(y);
  }

  torch::nn::Conv2d conv1, conv2;
  typename Parts::Norm norm1, norm2;
  typename Parts::Activation activation1, activation2;
  torch::nn::Sequential shortcut{nullptr};
};

// The same with norm and ReLU before the convolutions. A shortcut starts after the first ReLU.
struct PreActivationBlock : torch::nn::Module {
  PreActivationBlock(int64_t in, int64_t out, int64_t stride)
      : norm1(register_module("norm1", torch::nn::BatchNorm2d(in))),
        conv1(register_module("conv1", same_convolution(in, out, 3, stride))),
        norm2(register_module("norm2", torch::nn::BatchNorm2d(out))),
        conv2(register_module("conv2", same_convolution(out, out, 3))) {
    if (stride == 1 && in == out) return;
    shortcut = register_module("shortcut", same_convolution(in, out, 1, stride));
  }

  Tensor forward(const Tensor& x) {
    const Tensor active = norm1->forward(x).relu_();
    const Tensor inner = norm2->forward(conv1->forward(active)).relu_();
    Tensor y = conv2->forward(inner);
    return y.add_(shortcut.is_empty() ? x : shortcut->forward(active));
  }

  torch::nn::BatchNorm2d norm1;
  torch::nn::Conv2d conv1;
  torch::nn::BatchNorm2d norm2;
  torch::nn::Conv2d conv2, shortcut{nullptr};
};

// The blocks of all stages, "0" to "8" for ResNet-20: [n, 16, side, side] -> [n, 64, side / 4,
// side / 4].
template <class Block>
torch::nn::Sequential small_blocks(int64_t blocks_of_stage) {
  torch::nn::Sequential all;
  int64_t in = kStageChannels.front();
  for (const int64_t out : kStageChannels) {
    for (int64_t i = 0; i < blocks_of_stage; ++i) {
      all->push_back(std::make_shared<Block>(in, out, /*stride=*/in == out ? 1 : 2));
      in = out;
    }
  }
  return all;
}

template <class Parts>
struct SmallResNet : ImageModel {
  explicit SmallResNet(const SmallResNetOptions& o)
      : conv(register_module("conv", same_convolution(o.channels, kStageChannels.front(), 3))),
        norm(register_module("norm", typename Parts::Norm(kStageChannels.front()))),
        activation(
            register_module("activation", typename Parts::Activation(kStageChannels.front()))),
        blocks(register_module("blocks", small_blocks<SmallBlock<Parts>>(o.blocks))),
        fc(register_module("fc", torch::nn::Linear(kStageChannels.back(), o.classes))) {
    init_convolutions(*this);
  }

  Tensor forward(const Tensor& images) override {
    const Tensor x = activation->forward(norm->forward(conv->forward(images)));
    return fc->forward(blocks->forward(x).mean({2, 3}));
  }

  torch::nn::Conv2d conv;
  typename Parts::Norm norm;
  typename Parts::Activation activation;
  torch::nn::Sequential blocks;
  torch::nn::Linear fc;
};

struct PreResNet : ImageModel {
  PreResNet(int64_t blocks_of_stage, int64_t channels, int64_t classes)
      : conv(register_module("conv", same_convolution(channels, kStageChannels.front(), 3))),
        blocks(register_module("blocks", small_blocks<PreActivationBlock>(blocks_of_stage))),
        norm(register_module("norm", torch::nn::BatchNorm2d(kStageChannels.back()))),
        fc(register_module("fc", torch::nn::Linear(kStageChannels.back(), classes))) {
    init_convolutions(*this);
  }

  Tensor forward(const Tensor& images) override {
    const Tensor x = blocks->forward(conv->forward(images));
    return fc->forward(norm->forward(x).relu_().mean({2, 3}));
  }

  torch::nn::Conv2d conv;
  torch::nn::Sequential blocks;
  torch::nn::BatchNorm2d norm;
  torch::nn::Linear fc;
};

}  // namespace

std::shared_ptr<ImageModel> make_small_resnet(const SmallResNetOptions& options) {
  if (options.norm == SmallResNetNorm::kFilterResponse) {
    return std::make_shared<SmallResNet<FilterResponseParts>>(options);
  }
  return std::make_shared<SmallResNet<BatchNormReluParts>>(options);
}

std::shared_ptr<ImageModel> make_pre_resnet(int64_t blocks, int64_t channels, int64_t classes) {
  return std::make_shared<PreResNet>(blocks, channels, classes);
}

}  // namespace examples
