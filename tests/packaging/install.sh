#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs ivon into a folder, moves it to PREFIX, and fails if an installed file names a path of this machine.
#   install.sh CMAKE BUILD PREFIX
set -euo pipefail
cmake=$1 build=$2 prefix=$3

rm -rf "$prefix" "$prefix.first"
"$cmake" --install "$build" --prefix "$prefix.first"
mv "$prefix.first" "$prefix"

found=$(grep -rnE "site-packages|libtorch|libc10|$build|$prefix" "$prefix" --include='*.cmake' || true)
if [ -n "$found" ]; then
  echo "installed files name a path of this machine:" >&2
  echo "$found" >&2
  exit 1
fi
test -f "$prefix/include/ivon/ivon.hpp" || { echo "ivon.hpp was not installed" >&2; exit 1; }
