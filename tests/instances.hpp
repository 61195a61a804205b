// SPDX-License-Identifier: Apache-2.0
// The optimizer's code is compiled once, in instances.cpp, and not again in each test file.
#pragma once

#include <ivon/optimizer.hpp>

extern template class ivon::IVON<ivon::PriceEstimator>;
extern template class ivon::IVON<ivon::GradSquaredEstimator>;
