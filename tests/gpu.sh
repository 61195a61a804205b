#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds and runs the tests that want a GPU, and the example that can use one.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'TEXT'
tests/gpu.sh [--build-only | --on-host] [--sanitizer] [GTEST OPTION]...   builds and runs the tests that want a GPU,
and examples/fashion_mnist on it for some seconds

  --build-only   builds, runs nothing
  --on-host      runs them without a GPU, with the kernels' text on the processor: what is not the device's own
  --sanitizer    then once more, a part of them, under compute-sanitizer (memcheck, racecheck)
  --help         this text

Needs g++, CMake, ninja and a python3 (or PYTHON=...) with torch, a CUDA build unless --on-host; nothing is installed.
  IVON_TORCH=DIR          a LibTorch (include/ and lib/) to link in place of Python's
  IVON_GOOGLETEST=DIR     GoogleTest's sources; default: .gpu/googletest, /usr/src/googletest
  IVON_HEADERS=DIR        nlohmann/json.hpp for the golden trajectories; CLI/, zlib.h and fmt/ as well for the example;
                          default: .gpu/include, /usr/include
  IVON_FASHION_MNIST=DIR  the example's data; default: .gpu/fashion-mnist, /usr/share/datasets/fashion-mnist
  IVON_CUDA_INCLUDE=DIR   a folder with cuda_runtime_api.h, for graphs and streams; default: nvcc's, Python's packages
What is missing of the last four is said, and its tests are left out.
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
headers=$(first_with nlohmann/json.hpp "${IVON_HEADERS:-}" .gpu/include /usr/include)
[ -n "$headers" ] || echo "-- no nlohmann/json.hpp: golden trajectories are left out"
if [ "$headers" = /usr/include ]; then  # as a folder of its own: -isystem /usr/include would confuse the compiler
  headers=$PWD/build/gpu-headers
  mkdir -p "$headers"
  for name in nlohmann CLI fmt zlib.h; do
    [ ! -e "/usr/include/$name" ] || ln -sfn "/usr/include/$name" "$headers/$name"
  done
fi
images=$(first_with train-images-idx3-ubyte.gz "${IVON_FASHION_MNIST:-}" .gpu/fashion-mnist /usr/share/datasets/fashion-mnist)
nvcc=$(command -v nvcc || true)
cuda_include=$(first_with cuda_runtime_api.h "${IVON_CUDA_INCLUDE:-}" "${nvcc:+$(dirname "$(realpath "$nvcc")")/../include}" \
  "/usr/local/cuda/include" "$torch/../nvidia/cu13/include" "$torch/../nvidia/cuda_runtime/include")
[ -n "$cuda_include" ] || echo "-- no cuda_runtime_api.h: the tests of graphs, streams and memory are left out"

folder=build/gpu-$mode
mkdir -p build
echo "-- torch $torch_version, CUDA $torch_cuda, C++$torch_standard, in $folder"
flags="-O1 -g"
if [ "$mode" = host ]; then
  flags=-O0  # enough to show that everything builds and runs
fi
cmake -S tests/gpu -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_FLAGS_RELWITHDEBINFO="$flags" \
  -DCMAKE_CXX_STANDARD=$torch_standard -DIVON_ROOT="$PWD" -DIVON_TORCH="$torch" -DIVON_GOOGLETEST="$googletest" \
  -DIVON_HEADERS="$headers" -DIVON_CUDA_INCLUDE="$cuda_include" >"$folder.log" 2>&1 || { cat "$folder.log"; fail "CMake could not configure"; }
cmake --build "$folder" || fail "the build failed; see the lines above"
[ "$mode" != build ] || exit 0

tests=$folder/gpu_tests
run() { echo "== $*"; env "$@"; }
run_tests() { run "$@" ${arguments[@]+"${arguments[@]}"}; }
# run_example <option>...: the example for some seconds; its output is of no use, a failure prints it.
run_example() {
  if [ ! -e "$folder/fashion_mnist" ] || [ -z "$images" ]; then
    echo "-- examples/fashion_mnist is left out: it needs headers of CLI11, nlohmann/json, zlib and fmt, libz, and its data"
    return
  fi
  run "$folder/fashion_mnist" --smoke --data "$images" --out "$folder/example" "$@" >"$folder/example.log" 2>&1 ||
    { cat "$folder/example.log"; fail "examples/fashion_mnist $* failed"; }
  echo "== fashion_mnist --smoke $*"
  grep -A 5 'test set' "$folder/example.log"
}
if [ "$mode" = host ]; then
  run_tests IVON_TEST_DEVICE=cpu IVON_TEST_CUDA_ON_HOST=1 "$tests"
  run_example --bf16
  exit
fi
run_tests IVON_TEST_DEVICE=cuda "$tests"
run_tests IVON_TEST_DEVICE=cuda IVON_CUDA_BACKEND=aten "$tests"
run_example --device cuda
run_example --device cuda --bf16
run_example --device cuda --bf16 --sample-on-step
if [ -n "$sanitizer" ]; then
  command -v compute-sanitizer >/dev/null || fail "compute-sanitizer is missing; it comes with the CUDA toolkit"
  for tool in memcheck racecheck; do
    run IVON_TEST_DEVICE=cuda compute-sanitizer --tool "$tool" --error-exitcode 1 "$tests" \
      --gtest_filter='Device.Noise*:Device.TheProcessors*:Device.OnePass*:Gpu.Replays*'
  done
fi
