// SPDX-License-Identifier: Apache-2.0
// What this process and this machine hold in memory, in bytes; 0 where the system does not tell.
#pragma once

#include <cstdint>

namespace ivon_benchmark {

int64_t resident_bytes();       // now
int64_t peak_resident_bytes();  // since the process began
int64_t available_bytes();      // what could be allocated without swapping

}  // namespace ivon_benchmark
