#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Gives the random words of the noise to dieharder, a battery of statistical tests that is not ours.
set -euo pipefail
cd "$(dirname "$0")/../.."

usage() {
  cat <<'TEXT'
tests/noise_battery/run.sh [SEED]   all tests of dieharder on the words of noise stream 3 (about half an hour)

Prints dieharder's table. A test that comes out WEAK is repeated with more words until it passes or fails. The default
seed is 1. Needs g++ and dieharder, which are installed by apt-get where they are missing (as root or by sudo).
TEXT
}

case ${1:-} in
  -h | --help) usage; exit 0 ;;
esac

. cmake/setup.sh
need_packages g++ dieharder
mkdir -p build
g++ -std=c++17 -O3 -I include tests/noise_battery/words.cpp -o build/noise_words
# -g 200: words from standard input; -Y 1: repeat what is weak; -k 2: exact p-values of Kolmogorov and Smirnov
# dieharder ends first, which ends noise_words by a broken pipe.
{ build/noise_words "${1:-1}" || true; } | dieharder -g 200 -a -Y 1 -k 2
