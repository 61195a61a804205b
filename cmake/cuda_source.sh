#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Prints include/ivon/kernels/cuda/source.hpp: the CUDA kernels' text as a string, for NVRTC compiles at run time what
# the C++ compiler sees as code. Run it after changing one of the files it names:
#   bash cmake/cuda_source.sh >include/ivon/kernels/cuda/source.hpp
set -euo pipefail
cd "$(dirname "$0")/../include/ivon/kernels"

# The list of coefficients on one line, for the places that include it.
coefficients=$(grep '^IVON_COEFFICIENT' coefficient_list.inl | tr '\n' ' ')

# text <file>...: the files as raw string literals, without comments of whole lines and directives that NVRTC has no use
# for; #line keeps the places in its messages.
text() {
  local file
  for file in "$@"; do
    printf 'R"ivon(\n#line 1 "ivon/kernels/%s"\n' "$file"
    sed -e 's,^ *//.*,,' -e "s|^#include <ivon/kernels/coefficient_list.inl>|$coefficients|" -e '/^#include/s/.*//' -e '/^#pragma once/s/.*//' "$file" | sed -e :a -e '/^\n*$/{$d;N;ba' -e '}'
    printf ')ivon"\n'
  done
}

cat <<'TEXT'
// SPDX-License-Identifier: Apache-2.0
// Written by cmake/cuda_source.sh; do not edit. The text of the CUDA kernels, for NVRTC.
#pragma once

#include <ivon/version.hpp>

IVON_NAMESPACE_BEGIN
namespace detail::cuda {

// clang-format off
inline constexpr const char kSource[] =
R"ivon(
#define IVON_CUDA_TEXT 1
#define IVON_ALWAYS_INLINE __device__ __forceinline__
#define IVON_ROLLED _Pragma("unroll 1")
#define IVON_NAMESPACE_BEGIN namespace ivon {
#define IVON_NAMESPACE_END }
namespace ivon::detail {
using int32_t = int;
using int64_t = long long;
using uint16_t = unsigned short;
using uint32_t = unsigned;
using uint64_t = unsigned long long;
}
)ivon"
TEXT
text coefficients.hpp noise_key.hpp tasks.hpp cuda/records.hpp
printf 'R"ivon(\nnamespace ivon::detail::cuda {\n)ivon"\n'
text cuda/pack_single.inl half.inl math.inl estimators.inl box_muller.inl quad_noise.inl cuda/passes.inl cuda/service.inl
printf 'R"ivon(\n}\n)ivon"\n'
text cuda/entries.inl
cat <<'TEXT'
;
// clang-format on

}  // namespace detail::cuda
IVON_NAMESPACE_END
TEXT
