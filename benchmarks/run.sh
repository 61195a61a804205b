#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sets up, builds and runs the benchmarks, and prints one table with the verdict on every target.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'TEXT'
benchmarks/run.sh [OPTION]...   sets up, builds and runs the benchmarks (about ten minutes on two cores)

  --tensors       only how the time of each call grows with the number of tensors (about ten minutes)
  --quick         a smoke of a minute: fewer models and repetitions
  --threads LIST  numbers of threads, by commas (default: 1,2 as far as there are cores)
  --out DIR       where results.md, results.json and the raw JSON go (default: build/benchmarks/results)
  --save          put the results into benchmarks/results/ too, named by date, processor and LibTorch
  --help          this text

Set-up, at the first run: missing Debian packages by apt-get (as root or by sudo), and LibTorch by pip into .venv
unless one is found by Torch_DIR, CMAKE_PREFIX_PATH or an importable torch of python3. ivon-opt, the Python package to
compare with, is installed into .venv only; another Python is used where it has ivon-opt.
  IVON_TORCH_INDEX=URL   another package index for torch (its CPU build, where the default one carries CUDA's)
Other work on the machine spoils timings: the least of all repetitions counts, but leave the machine alone all the same.
TEXT
}

quick=0
tensors=0
save=0
out=build/benchmarks/results
threads=
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --quick) quick=1 ;;
    --tensors) tensors=1 ;;
    --save) save=1 ;;
    --out) out=${2:?--out needs a folder}; shift ;;
    --out=*) out=${1#*=} ;;
    --threads) threads=${2:?--threads needs numbers}; shift ;;
    --threads=*) threads=${1#*=} ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done
if [ "$quick" = 1 ] && [ "$save" = 1 ]; then
  echo "benchmarks/run.sh: --quick is no result to save" >&2
  exit 2
fi

. cmake/setup.sh
need_packages g++ cmake ninja-build libbenchmark-dev libcli11-dev nlohmann-json3-dev python3
need_torch
if [ "$tensors" = 1 ]; then
  build benchmarks ivon_scaling
  exec build/benchmarks/benchmarks/ivon_scaling
fi
build benchmarks ivon_benchmark
program=build/benchmarks/benchmarks/ivon_benchmark

if [ -z "$threads" ]; then
  threads=1
  [ "$(nproc)" -lt 2 ] || threads=1,2
fi
raw=$out/raw
rm -rf "$raw"
mkdir -p "$raw"
begin=$SECONDS
cut -d ' ' -f 1 /proc/loadavg >"$raw/load"  # of the last minute, told with the results

progress() { printf '   %4d s  %s\n' $((SECONDS - begin)) "$*"; }

# measure <file> <set> <threads> <model> <repetitions> [<contenders>]: one process, so one set and interleaved contenders.
measure() {
  local name=$1 isa=$2 count=$3 model=$4 repetitions=$5 contenders=${6:-}
  progress "$isa, $count thread(s), $model${contenders:+: $contenders}"
  if ! IVON_CPU_ISA=$isa "$program" --threads "$count" --model "$model" --repetitions "$repetitions" \
    ${contenders:+--contenders "$contenders"} --benchmark_out="$raw/$name.json" --benchmark_out_format=json \
    >"$raw/$name.log" 2>&1; then
    cat "$raw/$name.log" >&2
    fail "the benchmark failed"
  fi
  if grep -q 'wrong result' "$raw/$name.log"; then
    grep 'wrong result' "$raw/$name.log" >&2
    fail "a benchmark computed something wrong"
  fi
}

# measure_python <threads> <model> <repetitions>
measure_python() {
  local count=$1 model=$2 repetitions=$3 name=ivon_opt_$2_$1
  if [ -z "$python_missing" ]; then
    progress "ivon-opt, $count thread(s), $model"
    "$program" --list-shapes --model "$model" >"$raw/$name.shapes"
    if "$python" benchmarks/ivon_opt.py --model "$model" --shapes "$raw/$name.shapes" --threads "$count" \
      --repetitions "$repetitions" --out "$raw/$name.json" >"$raw/$name.log" 2>&1; then
      return
    fi
    tail -n 5 "$raw/$name.log" >&2
  fi
  printf '%s\t%s\t%s\n' "$model" "$count" "${python_missing:-ivon_opt.py failed}" >"$raw/$name.missing"
}

find_python_for_tests
sets=()
for isa in avx512 avx2 neon portable; do
  if IVON_CPU_ISA=$isa "$program" --print-isa >/dev/null 2>&1; then
    sets+=("$isa")
  fi
done
best=${sets[0]}
ours=ivon,ivon_one_pass,ivon_like_adamw,ivon_sample,fused_adamw,copy,scale

if [ "$quick" = 1 ]; then
  models=(resnet50:5 100x1000:10 1e6:10) python_models=(100x1000:3 resnet50:1)
  scaling=(1e3:5 1e4:5 1e7:3) alone=()
  memory_models=(1e8)
else
  models=(resnet50:30 gpt2:12 100x1000:60 1e5:60 1e6:40 1e8:10)
  python_models=(100x1000:10 1e5:10 1e6:10 resnet50:4 gpt2:2 1e8:2)
  scaling=(1e3:60 1e4:60 1e7:20) alone=(1e9:3)
  memory_models=(resnet50 1e8)
fi

say "-- measuring ($best; ${threads} threads; $(nproc) cores)"
for count in ${threads//,/ }; do
  for entry in "${models[@]}"; do
    measure "${best}_${entry%:*}_$count" "$best" "$count" "${entry%:*}" "${entry#*:}"
    for isa in "${sets[@]:1}"; do
      case $isa:$count:${entry%:*} in
        portable:1:100x1000 | portable:1:1e[56]) measure "${isa}_${entry%:*}_$count" "$isa" "$count" "${entry%:*}" 3 "$ours" ;;
        portable:*) ;;  # tens of nanoseconds a parameter: small models say all there is to say
        *) measure "${isa}_${entry%:*}_$count" "$isa" "$count" "${entry%:*}" "${entry#*:}" "$ours" ;;
      esac
    done
  done
  for entry in "${python_models[@]}"; do
    measure_python "$count" "${entry%:*}" "${entry#*:}"
  done
  for entry in "${scaling[@]}"; do
    measure "${best}_${entry%:*}_$count" "$best" "$count" "${entry%:*}" "${entry#*:}" "$ours"
  done
  # Together they would not fit into memory.
  for entry in ${alone[@]+"${alone[@]}"}; do
    for contender in ${ours//,/ }; do
      measure "${best}_${entry%:*}_${count}_$contender" "$best" "$count" "${entry%:*}" "${entry#*:}" "$contender"
    done
  done
done
for model in "${memory_models[@]}"; do
  for contender in ivon ivon_one_pass adamw sgd fused_adamw; do
    measure "memory_${model}_$contender" "$best" 1 "$model" 2 "$contender"
  done
done
for isa in "${sets[@]}"; do
  measure "noise_$isa" "$isa" 1 noise 40
done
progress "done"

echo
python3 benchmarks/report.py "$out"
if [ "$save" = 1 ]; then
  name=$(python3 - "$out/results.json" <<'PYTHON'
import json, re, sys
about = json.load(open(sys.argv[1]))["about"]
print("_".join([about["date"], re.sub("[^a-z0-9]+", "-", about["processor"].lower()).strip("-"), about["libtorch"]]))
PYTHON
)
  mkdir -p benchmarks/results
  cp "$out/results.md" "benchmarks/results/$name.md"
  cp "$out/results.json" "benchmarks/results/$name.json"
  say "saved: benchmarks/results/$name.md and .json"
fi
