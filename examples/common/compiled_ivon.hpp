// SPDX-License-Identifier: Apache-2.0
// ivon for files that link the library of examples/common: the optimizer is compiled once, in
// optimizers.cpp, and not again in each file that uses it, which saves 20 s a file.
#pragma once

#include <ivon/ivon.hpp>

extern template class ivon::IVON<ivon::PriceEstimator>;
