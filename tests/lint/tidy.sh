#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs clang-tidy once over all headers: one file that includes ivon.hpp and instantiates both optimizers.
#   tests/lint/tidy.sh BUILD     BUILD is a configured build folder, which knows where LibTorch is
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/lint/common.sh

tool=$(find_tool clang-tidy-14 clang-tidy)
torch_includes "${1:-build/test}"
# Findings in LibTorch's headers are not shown, but counted on stderr: keep that line out of the log.
"$tool" --quiet tests/lint/tidy.cpp -- -std=c++17 -Iinclude "${includes[@]}" 2> >(grep -v 'warnings generated' >&2)
echo "tidy: $(grep -c '#include' tests/lint/tidy.cpp) includes, no finding by $("$tool" --version | grep -o 'version.*')"
