// SPDX-License-Identifier: Apache-2.0
// ivon: Improved Variational Online Newton for LibTorch. Includes the whole public interface.
#pragma once

#include <ivon/adamw_state.hpp>   // IWYU pragma: export
#include <ivon/cuda_backend.hpp>  // IWYU pragma: export
#include <ivon/diagnostics.hpp>
#include <ivon/estimator.hpp>
#include <ivon/optimizer.hpp>
#include <ivon/options.hpp>
#include <ivon/posterior/batch_norm.hpp>
#include <ivon/posterior/generalization.hpp>
#include <ivon/posterior/merge.hpp>
#include <ivon/posterior/metrics.hpp>
#include <ivon/posterior/posterior.hpp>
#include <ivon/posterior/posterior_diagnostics.hpp>
#include <ivon/posterior/predict.hpp>
#include <ivon/posterior/predict_regression.hpp>
#include <ivon/posterior/prior.hpp>
#include <ivon/posterior/prune.hpp>
#include <ivon/posterior/sensitivity.hpp>
#include <ivon/sampled_params.hpp>
#include <ivon/schedulers.hpp>
#include <ivon/state.hpp>
#include <ivon/version.hpp>
