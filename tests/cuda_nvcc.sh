#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Compiles the CUDA kernels' text with nvcc, the other compiler that there is for it.
#   tests/cuda_nvcc.sh NVCC CXX
set -euo pipefail
nvcc=$1 cxx=$2
include=$(cd "$(dirname "$0")/../include" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/print.cpp" <<'TEXT'
#include <cstdio>
#include <ivon/kernels/cuda/source.hpp>
int main() { std::fputs(ivon::detail::cuda::kSource, stdout); }
TEXT
"$cxx" -std=c++17 -I"$include" "$work/print.cpp" -o "$work/print"
"$work/print" >"$work/ivon.cu"
known=$("$nvcc" --list-gpu-arch)
for architecture in 75 80 90 100; do
  if ! grep -q "compute_$architecture" <<<"$known"; then
    echo "sm_$architecture: this nvcc does not know it"
    continue
  fi
  for module in "" "-DIVON_DTYPE=0 -DIVON_ESTIMATOR=PriceEstimator" \
    "-DIVON_DTYPE=2 -DIVON_ESTIMATOR=GradSquaredEstimator"; do
    # shellcheck disable=SC2086  # several options
    "$nvcc" -std=c++17 -cubin -arch="sm_$architecture" $module -o "$work/ivon.cubin" "$work/ivon.cu" 2>&1 ||
      { echo "sm_$architecture $module: failed"; exit 1; }
  done
  echo "sm_$architecture: compiles"
done
