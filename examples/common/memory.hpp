// SPDX-License-Identifier: Apache-2.0
// The memory that the program has used.
#pragma once

#include <sys/resource.h>

namespace examples {

// The largest resident size of this process so far, in GiB.
inline double peak_memory_gib() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / (1 << 20);  // Linux counts KiB
}

}  // namespace examples
