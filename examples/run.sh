#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The main job: sets up, builds, and trains a small convolutional network on Fashion-MNIST with AdamW and with IVON.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'TEXT'
examples/run.sh [OPTION]...   sets up, builds and runs examples/fashion_mnist

  --seeds N     train with N seeds; the table shows mean and standard error
  --data DIR    a folder with Fashion-MNIST's four IDX files (default: Debian's dataset-fashion-mnist)
  --out DIR     where the plots (PNG) and figures (JSON) go
  --list        after building, list the other examples and how to run them
  --help        this text; every other option goes to the program: see --program-help

Set-up, at the first run: missing Debian packages by apt-get (as root or by sudo), and LibTorch by pip into .venv
unless one is found by Torch_DIR, CMAKE_PREFIX_PATH or an importable torch of python3.
  IVON_TORCH_INDEX=URL   another package index for torch (its CPU build, where the default one carries CUDA's)
TEXT
}

list=0
own_data=0
arguments=()
for argument in "$@"; do
  case $argument in
    -h | --help) usage; exit 0 ;;
    --list) list=1 ;;
    --program-help) arguments+=(--help) own_data=1 ;;
    --data | --data=*) own_data=1; arguments+=("$argument") ;;
    *) arguments+=("$argument") ;;
  esac
done

. cmake/setup.sh
packages=(g++ cmake ninja-build libfmt-dev libcli11-dev nlohmann-json3-dev zlib1g-dev gnuplot-nox fonts-dejavu-core)
if [ "$own_data" = 0 ]; then
  packages+=(dataset-fashion-mnist)
fi
need_packages "${packages[@]}"
need_torch
build release

if [ "$list" = 1 ]; then
  say "built; each takes --help:"
  find build/release/examples -mindepth 2 -maxdepth 2 -type f -perm -u+x | LC_ALL=C sort | sed 's/^/  /'
  exit 0
fi
exec build/release/examples/fashion_mnist/fashion_mnist ${arguments[@]+"${arguments[@]}"}
