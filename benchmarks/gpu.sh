#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds and runs the benchmark for a CUDA device, and prints its table with the verdict on every target.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'TEXT'
benchmarks/gpu.sh [--quick | --on-cpu] [--save]   times the optimizers on the first CUDA device (some minutes)

  --quick     ResNet-50 in float32 only
  --on-cpu    without a GPU: tiny models on the processor, to try program and report; its figures mean nothing
  --save      put the results into benchmarks/results/ too, named by date, device and LibTorch
  --help      this text

Needs g++, CMake, ninja and a python3 (or PYTHON=...) with torch, a CUDA build unless --on-cpu; nothing is installed.
  IVON_TORCH=DIR   a LibTorch (include/ and lib/) to link in place of Python's
TEXT
}

. cmake/torch_by_path.sh

mode=gpu quick=0 save=0
for argument in "$@"; do
  case $argument in
    -h | --help) usage; exit 0 ;;
    --quick) quick=1 ;;
    --on-cpu) mode=cpu ;;
    --save) save=1 ;;
    *) usage >&2; exit 2 ;;
  esac
done
[ "$save" = 0 ] || [ "$mode" = gpu ] || fail "--save is for figures of a GPU"

find_torch "$mode"
name=cpu
[ "$mode" != gpu ] || name=$("$python" -c 'import torch; print(torch.cuda.get_device_name(0))')
folder=build/gpu-benchmark-$mode
mkdir -p "$folder"
flags="-O3 -DNDEBUG"
if [ "$mode" = cpu ]; then
  flags=-O0  # enough to show that everything builds and runs
fi
cmake -S benchmarks/gpu -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_FLAGS_RELEASE="$flags" \
  -DCMAKE_CXX_STANDARD=$torch_standard \
  -DIVON_ROOT="$PWD" -DIVON_TORCH="$torch" >"$folder/cmake.log" || fail "CMake could not configure; see $folder/cmake.log"
cmake --build "$folder" || fail "the build failed; see the lines above"

lines=$folder/results.jsonl
: >"$lines"
# measure <model> <dtype> <repetitions>: one process each, so that each compiles its kernels first.
measure() {
  echo "-- $1, $2" >&2
  "$folder/ivon_gpu_benchmark" "$1" "$2" "$device" "$3" >>"$lines" || echo "   left out: see the message above" >&2
}
if [ "$mode" = cpu ]; then
  device=cpu
  measure 100x1000 float32 2
  measure 1e5 bfloat16 2
else
  device=cuda:0
  measure resnet50 float32 20
  if [ "$quick" = 0 ]; then
    measure resnet50 bfloat16 20
    measure gpt2 float32 20
    measure gpt2 bfloat16 20
    measure gpt2-xl float32 5
    measure gpt2-xl bfloat16 5
    measure 100x1000 float32 20
    IVON_CUDA_BACKEND=aten measure resnet50 float32 5
    cache=$(mktemp -d)
    for _ in 1 2; do IVON_CUDA_CACHE=$cache measure 1000 float32 1; done  # the second start finds the kernels
    rm -rf "$cache"
  fi
fi
[ -s "$lines" ] || fail "nothing could be measured; see the messages above"

driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null | head -n 1 || true)
report=$folder/results.md
"$python" benchmarks/gpu_report.py "$lines" --device "$name" --driver "${driver:-none}" --torch "$torch_version" --cuda "$torch_cuda" >"$report"
cat "$report"
if [ "$save" = 1 ]; then
  base=benchmarks/results/$(date +%F)_$(tr 'A-Z ' 'a-z-' <<<"$name")_${torch_version%%+*}
  cp "$report" "$base.md"
  cp "$lines" "$base.jsonl"
  echo "-- saved as $base.md and .jsonl"
fi
