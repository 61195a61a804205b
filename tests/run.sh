#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sets up, builds and runs every test.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'TEXT'
tests/run.sh [--sanitize | --tsan] [CTEST OPTION]...   sets up, builds and runs the tests

  --sanitize    under AddressSanitizer and UndefinedBehaviorSanitizer, in build/sanitize
  --tsan        under ThreadSanitizer, in build/tsan
  -R REGEX      only the tests whose name matches; every other option goes to ctest as well
  --help        this text

Set-up, at the first run: missing Debian packages by apt-get (as root or by sudo), and LibTorch by pip into .venv
unless one is found by Torch_DIR, CMAKE_PREFIX_PATH or an importable torch of python3.
For the CUDA kernels, which need no GPU here: NVRTC, new and old, and the headers of a CUDA LibTorch and of the oldest
supported LibTorch from PyPI, into build/.
  IVON_NVRTC=FILE        a libnvrtc.so.13 (or 12) that you have; IVON_OLDEST_NVRTC=FILE for the old one
  IVON_TORCH_INDEX=URL   another package index for torch (its CPU build, where the default one carries CUDA's)
TEXT
}

preset=test
arguments=()
for argument in "$@"; do
  case $argument in
    -h | --help) usage; exit 0 ;;
    --sanitize) preset=sanitize ;;
    --tsan) preset=tsan ;;
    *) arguments+=("$argument") ;;
  esac
done

. cmake/setup.sh
. tests/setup_cuda.sh
need_packages g++ cmake ninja-build libgtest-dev libgmock-dev libfmt-dev libcli11-dev nlohmann-json3-dev zlib1g-dev \
  libspng-dev libjpeg62-turbo-dev gnuplot-nox fonts-dejavu-core dataset-fashion-mnist g++-aarch64-linux-gnu \
  qemu-user-static googletest doxygen
need_torch
find_python_for_tests
[ -z "$python_missing" ] || say "-- Python: $python_missing; the tests that compare with Python are skipped"
need_nvrtc
need_torch_headers
build "$preset"

say "-- running the tests"
cd "build/$preset"
exec ctest --output-on-failure --no-tests=error -j "$(build_jobs)" ${arguments[@]+"${arguments[@]}"}
