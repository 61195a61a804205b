#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks that our C++ sources are formatted as .clang-format says; `--fix` formats them. clang-format 14, Debian 12's,
# is the one that decides: other versions break some lines differently.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/lint/common.sh

tool=$(find_tool clang-format-14 clang-format)
mapfile -t sources < <(find include tests examples benchmarks \( -name '*.hpp' -o -name '*.inl' -o -name '*.cpp' \) -type f 2>/dev/null |
  LC_ALL=C sort)
[ ${#sources[@]} -gt 0 ] || { echo "format: no source found" >&2; exit 1; }
if [ "${1:-}" = --fix ]; then
  "$tool" -i "${sources[@]}"
else
  "$tool" --dry-run --Werror "${sources[@]}"
fi
echo "format: ${#sources[@]} sources by $("$tool" --version)"
