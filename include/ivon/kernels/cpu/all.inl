// SPDX-License-Identifier: Apache-2.0
// Everything that is made of a pack, in order. Included inside a namespace that has Floats,
// Doubles, Words, Halves and Mask.

// clang-format off
#include <ivon/kernels/box_muller.inl>
#include <ivon/kernels/half.inl>
#include <ivon/kernels/math.inl>
#include <ivon/kernels/cpu/normal.inl>
#include <ivon/kernels/cpu/half.inl>
#include <ivon/kernels/cpu/loops.inl>
#include <ivon/kernels/cpu/blocks.inl>
#include <ivon/kernels/cpu/step.inl>
// clang-format on
