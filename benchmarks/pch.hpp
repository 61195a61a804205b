// SPDX-License-Identifier: Apache-2.0
// Precompiled for the benchmarks. Only headers that are not ours.
#pragma once

#include <benchmark/benchmark.h>
#include <torch/torch.h>
