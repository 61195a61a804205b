# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by the tests that run an example as a user does, with the arguments PROGRAM (the executable) and PRESETS (the
# folder of its presets). Goes to a folder of its own, which is removed at the end.
set -euo pipefail
program=$1
presets=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
RANDOM=1

fail() {
  echo "FAILED: $*" >&2
  [ ! -f log ] || tail -n 30 log >&2
  exit 1
}

run() { "$program" "$@" >log 2>&1 || fail "$(basename "$program") $*"; }

# expect TEXT: the last run has printed it.
expect() { grep -qF -- "$1" log || fail "the output lacks '$1'"; }

# refuses TEXT ARGUMENT...: the program ends with an error that says TEXT.
refuses() {
  local text=$1
  shift
  if "$program" "$@" >log 2>&1; then fail "no error from: $(basename "$program") $*"; fi
  expect "$text"
}
