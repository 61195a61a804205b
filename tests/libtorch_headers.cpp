// SPDX-License-Identifier: Apache-2.0
// Compiled, not linked: everything of ivon against the headers of another LibTorch.
#include <ivon/ivon.hpp>

template class ivon::IVON<ivon::PriceEstimator>;
template class ivon::IVON<ivon::GradSquaredEstimator>;
