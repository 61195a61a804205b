#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Prints the compile time that <ivon/ivon.hpp> adds to a file with <torch/torch.h>: the least of RUNS, each way.
#   tests/lint/compile_time.sh BUILD [RUNS]
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/lint/common.sh

compiler=${CXX:-g++}
runs=${2:-3}
torch_includes "${1:-build/test}"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
printf '#include <torch/torch.h>\nint main() { return 0; }\n' >"$folder/torch.cpp"
printf '#include <torch/torch.h>\n#include <ivon/ivon.hpp>\nint main() { return 0; }\n' >"$folder/ivon.cpp"
# A file that uses it: what the templates cost on top of being read.
cat >"$folder/use.cpp" <<'CODE'
#include <torch/torch.h>
#include <ivon/ivon.hpp>
int main() {
  torch::Tensor weight = torch::zeros({2}, torch::requires_grad());
  ivon::IVON optimizer({weight}, ivon::IVONOptions(0.1).ess(10));
  { auto sample = optimizer.sampled_params(); weight.sum().backward(); }
  optimizer.step();
}
CODE

# Processor time, user and system, in milliseconds: other work on the machine disturbs it least.
cost() {
  local best="" run user system TIMEFORMAT='%U %S'
  "$compiler" -std=c++17 -Iinclude "${includes[@]}" -fsyntax-only "$1" || return 1  # also warms the file cache
  for ((run = 0; run < runs; run++)); do
    read -r user system < <({ time "$compiler" -std=c++17 -O2 -Iinclude "${includes[@]}" -c "$1" -o "$1.o"; } 2>&1 |
      tail -n 1)
    best=$(awk -v u="$user" -v s="$system" -v b="$best" \
      'BEGIN { t = int((u + s) * 1000); print (b == "" || t < b) ? t : b }')
  done
  echo "$best"
}
torch=$(cost "$folder/torch.cpp")
ivon=$(cost "$folder/ivon.cpp")
use=$(cost "$folder/use.cpp")
awk -v t="$torch" -v i="$ivon" -v u="$use" -v r="$runs" -v c="$("$compiler" --version | head -n 1)" 'BEGIN {
  printf "compile time, processor seconds, least of %d, -O2, %s\n", r, c
  printf "  <torch/torch.h>        %6.2f\n  and <ivon/ivon.hpp>    %6.2f  (+%.2f)\n", t / 1000, i / 1000, (i - t) / 1000
  printf "  and an optimizer used  %6.2f  (+%.2f)\n", u / 1000, (u - t) / 1000
}'
