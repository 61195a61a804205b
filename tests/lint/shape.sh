#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks what docs/architecture.md promises about the shape of the sources: headers of 400 lines at most, the licence
# on the first line of every source, #pragma once in every header, the root CMakeLists.txt under 100 lines.
#   tests/lint/shape.sh [PROJECT]
set -euo pipefail
cd "${1:-$(dirname "$0")/../..}"

errors=0
complain() {
  echo "$1" >&2
  errors=$((errors + 1))
}

count=0
while read -r file; do
  count=$((count + 1))
  lines=$(wc -l <"$file")
  case $file in
    include/ivon/kernels/cuda/source.hpp) ;;  # written by a script
    include/*)
      [ "$lines" -le 400 ] || complain "$file: $lines lines; 400 at most, one idea per header"
      [ "${file##*.}" = inl ] || grep -q '^#pragma once$' "$file" || complain "$file: no #pragma once" ;;
  esac
  case $file in
    *.sh | *.py | .ci/run) head -n 2 "$file" ;;
    *) head -n 1 "$file" ;;
  esac | grep -q 'SPDX-License-Identifier: Apache-2.0' || complain "$file: its first line names no licence"
done < <(find include tests examples benchmarks cmake .ci \( -name '*.hpp' -o -name '*.inl' -o -name '*.cpp' -o -name '*.sh' -o \
  -name '*.py' -o -path .ci/run \) -type f -not -path '*/build/*' 2>/dev/null | LC_ALL=C sort)

[ "$count" -gt 0 ] || complain "no source found"
root=$(wc -l <CMakeLists.txt)
[ "$root" -lt 100 ] || complain "CMakeLists.txt: $root lines; 99 at most"
[ "$errors" -eq 0 ] || { echo "shape: $errors errors in $count files" >&2; exit 1; }
echo "shape: $count sources, longest header $(find include -name '*.hpp' -exec wc -l {} + | sort -n |
  awk '$2 != "total" { n = $1 } END { print n }') lines"
