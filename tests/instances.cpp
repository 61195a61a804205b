// SPDX-License-Identifier: Apache-2.0
// The one place where the tests' optimizers are compiled; see instances.hpp.
#include <ivon/optimizer.hpp>

template class ivon::IVON<ivon::PriceEstimator>;
template class ivon::IVON<ivon::GradSquaredEstimator>;
