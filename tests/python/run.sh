#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs a script with the Python whose torch is the LibTorch in use.
#   tests/python/run.sh LIBTORCH.SO SCRIPT [ARGUMENT]...
set -euo pipefail
python=${1%/lib*/python3*}/bin/python3
shift
if [ ! -x "$python" ]; then
  echo "skipped: LibTorch is not that of a Python environment"
  exit 0
fi
exec "$python" "$@"
