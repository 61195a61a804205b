#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Copies ivon's headers as another version that lays its options and its optimizer out differently.
#   other_version.sh INCLUDE TARGET
set -euo pipefail
rm -rf "$2"
mkdir -p "$2"
cp -r "$1/ivon" "$2/ivon"
# after <file> <line>: reads what to insert behind the line, which must be there
after() {
  grep -qF "$2" "$1" || { echo "other_version.sh: no line '$2' in $1" >&2; exit 1; }
  awk -v line="$2" -v text="$3" '{ print } index($0, line) == 1 { print text }' "$1" >"$1.new"
  mv "$1.new" "$1"
}
sed -i 's/^#define IVON_VERSION_PATCH .*/#define IVON_VERSION_PATCH 999/' "$2/ivon/version.hpp"
after "$2/ivon/options.hpp" "  detail::OptionsPrefix prefix_;" "  double other_version_[64] = {};"
after "$2/ivon/sampling/sampling_core.hpp" "  OneCaller caller_;" "  double other_version_[64] = {};"
touch "$2/stamp"
