// SPDX-License-Identifier: Apache-2.0
// The one file that clang-tidy reads: all headers, both estimators, and what users call as
// templates.
#include <ivon/ivon.hpp>

template class ivon::IVON<ivon::PriceEstimator>;
template class ivon::IVON<ivon::GradSquaredEstimator>;

ivon::Prediction predict_once(ivon::IVON<>& optimizer, const torch::Tensor& logits) {
  return ivon::predict(
      optimizer, [&] { return logits; }, 2);
}
