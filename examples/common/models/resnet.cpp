// SPDX-License-Identifier: Apache-2.0
#include "common/models/resnet.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace examples {
namespace {

constexpr int64_t kBottleneckExpansion = 4;

struct BlockConvolution {
  int64_t kernel, stride, out;
};

// The convolutions of a block of `width` channels inside.
std::vector<BlockConvolution> convolutions_of(ResNetBlockKind kind, int64_t width, int64_t stride) {
  if (kind == ResNetBlockKind::kBasic) return {{3, stride, width}, {3, 1, width}};
  return {{1, 1, width}, {3, stride, width}, {1, 1, width * kBottleneckExpansion}};
}

// Convolutions, each with batch norm and all but the last with ReLU, plus the input, then ReLU.
// Batch norm keeps its input for the gradient, not its result, so ReLU and the sum may overwrite
// that result. The block's input stays as it is.
struct ResNetBlock : torch::nn::Module {
  ResNetBlock(int64_t in, const std::vector<BlockConvolution>& convolutions) {
    const int64_t first = in;
    int64_t stride = 1;
    for (const BlockConvolution& c : convolutions) {
      const std::string number = std::to_string(convs_.size() + 1);
      convs_.push_back(
          register_module("conv" + number, same_convolution(in, c.out, c.kernel, c.stride)));
      norms_.push_back(register_module("bn" + number, torch::nn::BatchNorm2d(c.out)));
      stride *= c.stride;
      in = c.out;
    }
    if (stride == 1 && first == in) return;
    downsample_ = register_module(
        "downsample",
        torch::nn::Sequential(same_convolution(first, in, 1, stride), torch::nn::BatchNorm2d(in)));
  }

  // x [n, in, side, side] -> [n, out, side / stride, side / stride]
  torch::Tensor forward(const torch::Tensor& x) {
    torch::Tensor y = x;
    for (size_t i = 0; i < convs_.size(); ++i) {
      if (i > 0) y.relu_();
      y = norms_[i]->forward(convs_[i]->forward(y));
    }
    return y.add_(downsample_.is_empty() ? x : downsample_->forward(x)).relu_();
  }

 private:
  std::vector<torch::nn::Conv2d> convs_;
  std::vector<torch::nn::BatchNorm2d> norms_;
  torch::nn::Sequential downsample_{nullptr};
};

}  // namespace

ResNet::ResNet(const ResNetOptions& options) : pooled_stem_(options.stem == ResNetStem::kImageNet) {
  constexpr int64_t kStemChannels = 64;
  conv1_ = register_module("conv1", pooled_stem_
                                        ? same_convolution(options.channels, kStemChannels, 7, 2)
                                        : same_convolution(options.channels, kStemChannels, 3));
  bn1_ = register_module("bn1", torch::nn::BatchNorm2d(kStemChannels));
  int64_t in = kStemChannels, width = kStemChannels;
  for (size_t stage = 0; stage < stages_.size(); ++stage, width *= 2) {
    torch::nn::Sequential blocks;
    for (int64_t i = 0; i < options.layers[stage]; ++i) {
      const int64_t stride = stage > 0 && i == 0 ? 2 : 1;
      const auto convolutions = convolutions_of(options.block, width, stride);
      blocks->push_back(std::make_shared<ResNetBlock>(in, convolutions));
      in = convolutions.back().out;
    }
    stages_[stage] = register_module("layer" + std::to_string(stage + 1), blocks);
  }
  fc_ = register_module("fc", torch::nn::Linear(in, options.classes));
  init_convolutions(*this);
}

torch::Tensor ResNet::forward(const torch::Tensor& images) {
  torch::Tensor x = bn1_->forward(conv1_->forward(images)).relu_();
  if (pooled_stem_) x = torch::max_pool2d(x, /*kernel_size=*/3, /*stride=*/2, /*padding=*/1);
  for (auto& stage : stages_) x = stage->forward(x);
  return fc_->forward(x.mean({2, 3}));
}

}  // namespace examples
