// SPDX-License-Identifier: Apache-2.0
// Counts look-ups and comparisons in one test program, which checks without a clock that calls over
// many parameters take linear time. In every other program the macro does nothing.
#pragma once

#if defined(IVON_DETAIL_COUNT_WORK)

#include <cstdint>

namespace ivon_work {
inline uint64_t count = 0;
}
#define IVON_DETAIL_COUNT(steps) (ivon_work::count += static_cast<uint64_t>(steps))

#else

#define IVON_DETAIL_COUNT(steps) static_cast<void>(0)

#endif
