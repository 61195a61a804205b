// SPDX-License-Identifier: Apache-2.0
// The estimators that the kernels are compiled for. Their formulas are in estimators.inl;
// ivon/estimator.hpp tells what an estimator is and how users write their own. This file does not
// use LibTorch.
#pragma once

#include <ivon/version.hpp>

// Calls each(name) for every estimator of the library.
#define IVON_DETAIL_ESTIMATORS(each) each(PriceEstimator) each(GradSquaredEstimator)

IVON_NAMESPACE_BEGIN

#define IVON_DETAIL_DECLARE(name) struct name;
IVON_DETAIL_ESTIMATORS(IVON_DETAIL_DECLARE)
#undef IVON_DETAIL_DECLARE

namespace detail {

/// The name of an estimator in the text of the CUDA kernels; nullptr for one that is not part of
/// the library, whose updates run as tensor expressions on CUDA devices.
template <class Estimator>
inline constexpr const char* kCudaEstimator = nullptr;
#define IVON_DETAIL_NAME(name) \
  template <>                  \
  inline constexpr const char* kCudaEstimator<name> = #name;
IVON_DETAIL_ESTIMATORS(IVON_DETAIL_NAME)
#undef IVON_DETAIL_NAME

}  // namespace detail
IVON_NAMESPACE_END
