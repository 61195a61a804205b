// SPDX-License-Identifier: Apache-2.0
// Counts look-ups and comparisons in a test program, which shows that calls over many parameters
// take linear time without looking at a clock. Nothing in any other program.
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
