#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks the dependency rule of docs/architecture.md over the #include lines of include/ivon: a header includes
# headers of its own layer or of layers below, and under kernels/ only dispatch, dispatch_cuda and aten include LibTorch.
#   tests/lint/layering.sh [PROJECT]
set -euo pipefail
cd "${1:-$(dirname "$0")/../..}"/include/ivon

# The layer of a header, given relative to include/ivon; higher numbers may include lower ones.
layer() {
  case $1 in
    version.hpp) echo 0 ;;
    kernels/coefficients.hpp | kernels/noise_key.hpp) echo 5 ;;
    kernels/tasks.hpp) echo 8 ;;
    kernels/cpu/*) echo 10 ;;
    kernels/cpu.hpp) echo 12 ;;
    kernels/normal.hpp) echo 15 ;;
    kernels/cuda/*) echo 10 ;;
    kernels/aten.hpp) echo 20 ;;
    kernels/dispatch.hpp | kernels/dispatch_cuda.hpp) echo 30 ;;
    optimizer.hpp | detail/optimizer_*.hpp | schedulers.hpp) echo 50 ;;
    options.hpp | state.hpp | estimator.hpp | cuda_backend.hpp | sampled_params.hpp | noise.hpp | detail/*) echo 40 ;;
    posterior/*) echo 60 ;;
    ivon.hpp) echo 70 ;;
    *) echo unknown ;;
  esac
}

errors=0
complain() {
  echo "$1" >&2
  errors=$((errors + 1))
}

count=0
while read -r header; do
  header=${header#./}
  count=$((count + 1))
  own=$(layer "$header")
  if [ "$own" = unknown ]; then
    complain "include/ivon/$header: in no layer; give it one in tests/lint/layering.sh and docs/architecture.md"
    continue
  fi
  while read -r included; do
    [ -n "$included" ] || continue
    case $included in
      ivon/*) ;;
      torch/* | ATen/* | c10/* | caffe2/*)
        case $header in
          kernels/dispatch.hpp | kernels/dispatch_cuda.hpp | kernels/aten.hpp) ;;
          kernels/*) complain "include/ivon/$header includes LibTorch ($included); only dispatch, dispatch_cuda and aten may" ;;
        esac
        continue ;;
      *) continue ;;
    esac
    target=${included#ivon/}
    if [ ! -f "$target" ]; then
      complain "include/ivon/$header includes $included, which does not exist"
      continue
    fi
    theirs=$(layer "$target")
    if [ "$theirs" != unknown ] && [ "$theirs" -gt "$own" ]; then
      complain "include/ivon/$header (layer $own) includes $included (layer $theirs), which is above it"
    fi
  done < <(sed -n 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]\([^>"]*\)[>"].*/\1/p' "$header")
  if grep -q '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' "$header"; then
    complain "include/ivon/$header includes with quotes; write #include <ivon/...>"
  fi
done < <(find . -name '*.hpp' | LC_ALL=C sort)

[ "$count" -gt 0 ] || complain "no header found under include/ivon"
[ "$errors" -eq 0 ] || { echo "layering: $errors errors in $count headers" >&2; exit 1; }
echo "layering: $count headers, no header includes one above it"
