// SPDX-License-Identifier: Apache-2.0
// Benchmarks of the noise alone.
#pragma once

namespace ivon_benchmark {

/// Registers "noise/<contender>": normals of this library and of LibTorch, in a buffer that stays
/// in the cache.
void register_noise(int repetitions);

}  // namespace ivon_benchmark
