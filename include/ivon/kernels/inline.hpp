// SPDX-License-Identifier: Apache-2.0
// A macro that makes compilers inline functions of the kernels whatever their size. This file does
// not use LibTorch.
#pragma once

#include <ivon/version.hpp>

#if defined(__GNUC__)
#define IVON_ALWAYS_INLINE inline __attribute__((always_inline))
#else
#define IVON_ALWAYS_INLINE inline
#endif
