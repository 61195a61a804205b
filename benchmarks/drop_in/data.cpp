// SPDX-License-Identifier: Apache-2.0
#include "drop_in/data.hpp"

#include <torch/torch.h>

#include <algorithm>
#include <numeric>

namespace drop_in {

namespace {

// Where Debian's package dataset-fashion-mnist puts its files.
constexpr const char* kFashionMnistFolder = "/usr/share/datasets/fashion-mnist";

}  // namespace

const FashionMnist& fashion_mnist() {
  static const FashionMnist data = [] {
    FashionMnist all = examples::load_fashion_mnist_grey(kFashionMnistFolder);
    const double mean = all.train.inputs.mean().item<double>();
    const double deviation = all.train.inputs.std().item<double>();
    all.train.inputs.sub_(mean).div_(deviation);
    all.test.inputs.sub_(mean).div_(deviation);
    return all;
  }();
  return data;
}

Batches::Batches(int64_t rows, int64_t batch_size, uint64_t seed)
    : rows_(rows), batch_size_(batch_size), position_(rows), generator_(seed) {
  order_ = torch::empty({rows}, torch::kInt64);
}

torch::Tensor Batches::next() {
  if (position_ + batch_size_ > rows_) {
    int64_t* order = order_.data_ptr<int64_t>();
    std::iota(order, order + rows_, int64_t{0});
    std::shuffle(order, order + rows_, generator_);
    position_ = 0;
  }
  position_ += batch_size_;
  return order_.slice(0, position_ - batch_size_, position_);
}

}  // namespace drop_in
