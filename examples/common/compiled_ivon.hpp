// SPDX-License-Identifier: Apache-2.0
// ivon for files that link the library of examples/common: the optimizer is compiled once, in
// optimizers.cpp, and not again in each file that uses it, which saves about 16 s a file with g++
// 12 at -O3.
#pragma once

#include <ivon/ivon.hpp>

extern template class ivon::IVON<ivon::PriceEstimator>;
