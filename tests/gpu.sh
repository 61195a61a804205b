#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds and runs the tests that want a GPU.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'TEXT'
tests/gpu.sh [--build-only | --on-host] [--sanitizer] [GTEST OPTION]...   builds and runs the tests that want a GPU

  --build-only   builds, runs nothing
  --on-host      runs them without a GPU, with the kernels' text on the processor: what is not the device's own
  --sanitizer    then once more, a part of them, under compute-sanitizer (memcheck, racecheck)
  --help         this text

Needs g++, CMake, ninja and a python3 (or PYTHON=...) with torch, a CUDA build unless --on-host; nothing is installed.
  IVON_TORCH=DIR          a LibTorch (include/ and lib/) to link in place of Python's
  IVON_GOOGLETEST=DIR     GoogleTest's sources; default: .gpu/googletest, /usr/src/googletest
  IVON_JSON=DIR           a folder with nlohmann/json.hpp, for the golden trajectories; default: .gpu/json, /usr/include
  IVON_CUDA_INCLUDE=DIR   a folder with cuda_runtime_api.h, for graphs and streams; default: nvcc's, Python's packages
What is missing of the last two is said, and its tests are left out.
TEXT
}

. cmake/torch_by_path.sh

mode=gpu sanitizer= arguments=()
for argument in "$@"; do
  case $argument in
    -h | --help) usage; exit 0 ;;
    --build-only) mode=build ;;
    --on-host) mode=host ;;
    --sanitizer) sanitizer=1 ;;
    *) arguments+=("$argument") ;;
  esac
done

find_torch "$mode"

# first_with <file> <folder>...: the first folder that has the file.
first_with() {
  local file=$1 folder
  shift
  for folder in "$@"; do
    if [ -n "$folder" ] && [ -e "$folder/$file" ]; then
      (cd "$folder" && pwd)
      return
    fi
  done
}
googletest=$(first_with googletest/src/gtest-all.cc "${IVON_GOOGLETEST:-}" .gpu/googletest /usr/src/googletest)
[ -n "$googletest" ] || fail "GoogleTest's sources are missing; bring them as .gpu/googletest or name them by IVON_GOOGLETEST"
json=$(first_with nlohmann/json.hpp "${IVON_JSON:-}" .gpu/json /usr/include)
[ -n "$json" ] || echo "-- no nlohmann/json.hpp: golden trajectories are left out"
if [ "$json" = /usr/include ]; then  # as a folder of its own: -isystem /usr/include would confuse the compiler
  mkdir -p build/gpu-json && ln -sfn /usr/include/nlohmann build/gpu-json/nlohmann
  json=$PWD/build/gpu-json
fi
nvcc=$(command -v nvcc || true)
cuda_include=$(first_with cuda_runtime_api.h "${IVON_CUDA_INCLUDE:-}" "${nvcc:+$(dirname "$(realpath "$nvcc")")/../include}" \
  "/usr/local/cuda/include" "$torch/../nvidia/cu13/include" "$torch/../nvidia/cuda_runtime/include")
[ -n "$cuda_include" ] || echo "-- no cuda_runtime_api.h: the tests of graphs, streams and memory are left out"

folder=build/gpu-$mode
mkdir -p build
echo "-- torch $torch_version, CUDA $torch_cuda, C++$torch_standard, in $folder"
cmake -S tests/gpu -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_FLAGS_RELWITHDEBINFO="-O1 -g" \
  -DCMAKE_CXX_STANDARD=$torch_standard -DIVON_ROOT="$PWD" -DIVON_TORCH="$torch" -DIVON_GOOGLETEST="$googletest" \
  -DIVON_JSON="$json" -DIVON_CUDA_INCLUDE="$cuda_include" >"$folder.log" 2>&1 || { cat "$folder.log"; fail "CMake could not configure"; }
cmake --build "$folder" --target gpu_tests || fail "the build failed; see the lines above"
[ "$mode" != build ] || exit 0

tests=$folder/gpu_tests
run() { echo "== $*"; env "$@" ${arguments[@]+"${arguments[@]}"}; }
if [ "$mode" = host ]; then
  run IVON_TEST_DEVICE=cpu IVON_TEST_CUDA_ON_HOST=1 "$tests"
  exit
fi
run IVON_TEST_DEVICE=cuda "$tests"
run IVON_TEST_DEVICE=cuda IVON_CUDA_BACKEND=aten "$tests"
if [ -n "$sanitizer" ]; then
  command -v compute-sanitizer >/dev/null || fail "compute-sanitizer is missing; it comes with the CUDA toolkit"
  for tool in memcheck racecheck; do
    run IVON_TEST_DEVICE=cuda compute-sanitizer --tool "$tool" --error-exitcode 1 "$tests" \
      --gtest_filter='Device.Noise*:Device.TheProcessors*:Device.OnePass*:Gpu.Replays*'
  done
fi
