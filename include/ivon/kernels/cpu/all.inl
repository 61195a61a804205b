// SPDX-License-Identifier: Apache-2.0
// Includes all code that is built on packs, in order. Included inside a namespace that has Floats,
// Doubles, Words, Halves and Mask.

// clang-format off
#include <ivon/kernels/box_muller.inl>
#include <ivon/kernels/quad_noise.inl>
#include <ivon/kernels/short_box_muller.inl>
#include <ivon/kernels/half.inl>
#include <ivon/kernels/math.inl>
#include <ivon/kernels/estimators.inl>
#include <ivon/kernels/cpu/normal.inl>
#include <ivon/kernels/cpu/half_runs.inl>
#include <ivon/kernels/cpu/estimators.inl>
#include <ivon/kernels/cpu/loops.inl>
#include <ivon/kernels/cpu/blocks.inl>
#include <ivon/kernels/cpu/step.inl>
// clang-format on
