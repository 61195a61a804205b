#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks that the CUDA kernels' text as a string is the text as code.
#   tests/lint/cuda_source.sh [PROJECT]
set -euo pipefail
cd "${1:-$(dirname "$0")/../..}"
if ! bash cmake/cuda_source.sh | diff - include/ivon/kernels/cuda/source.hpp; then
  echo "include/ivon/kernels/cuda/source.hpp is out of date; run:" >&2
  echo "  bash cmake/cuda_source.sh >include/ivon/kernels/cuda/source.hpp" >&2
  exit 1
fi
echo "cuda_source: the text as a string is the text as code"
