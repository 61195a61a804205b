// SPDX-License-Identifier: Apache-2.0
// ivon: Improved Variational Online Newton for LibTorch. Includes the whole public interface.
#pragma once

#include <ivon/adamw_state.hpp>   // IWYU pragma: export
#include <ivon/cuda_backend.hpp>  // IWYU pragma: export
#include <ivon/diagnostics.hpp>
#include <ivon/estimator.hpp>
#include <ivon/optimizer.hpp>
#include <ivon/options.hpp>
#include <ivon/posterior/metrics.hpp>
#include <ivon/posterior/predict.hpp>
#include <ivon/sampled_params.hpp>
#include <ivon/schedulers.hpp>
#include <ivon/state.hpp>
#include <ivon/version.hpp>
