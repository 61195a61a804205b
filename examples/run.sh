#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sets up, builds one example and runs it. Without a name it is the main job: fashion_mnist, which trains a small
# convolutional network with AdamW and with IVON.
set -euo pipefail
cd "$(dirname "$0")/.."

names=$(sed -n 's/^ivon_example(\([a-z0-9_]*\).*/\1/p' examples/targets.cmake)

usage() {
  cat <<TEXT
examples/run.sh [NAME] [OPTION]...   sets up, builds and runs an example; without NAME fashion_mnist

  NAME          $(printf '%s' "$names" | tr '\n' ' ')
  --list        the examples, a line each
  --help        this text; every other option goes to the example: see --program-help
An example with commands, such as image_classification, takes one directly after NAME. What follows, --help too, goes to
the command. Relative paths count from the project's folder.
Of fashion_mnist:
  --seeds N     train with N seeds; the table shows mean and standard error
  --data DIR    a folder with Fashion-MNIST's four IDX files (default: Debian's dataset-fashion-mnist)
  --out DIR     where the plots (PNG) and figures (JSON) go

Set-up, at the first run: missing Debian packages by apt-get (as root or by sudo), and LibTorch by pip into .venv
unless one is found by Torch_DIR, CMAKE_PREFIX_PATH or an importable torch of python3. Only the example that is run is
built, and it uses all cores unless --threads says otherwise.
  IVON_TORCH_INDEX=URL   another package index for torch (its CPU build, where the default one carries CUDA's)
TEXT
}

fail_usage() {
  printf 'examples/run.sh: %s; see examples/run.sh --help\n' "$*" >&2
  exit 2
}

name=fashion_mnist
if [ $# -gt 0 ] && [ "${1#-}" = "$1" ]; then
  name=$1
  shift
  grep -qxF -e "$name" <<<"$names" || fail_usage "there is no example '$name', but there are: $(printf '%s' "$names" | tr '\n' ' ')"
fi
own_data=0
own_clip_art=0
own_text=0
arguments=()
command=0
if [ $# -gt 0 ] && [ "${1#-}" = "$1" ]; then command=1; fi
for argument in "$@"; do
  case $argument in
    -h | --help)
      [ "$command" = 1 ] || { usage; exit 0; }
      arguments+=("$argument") own_data=1 own_clip_art=1 own_text=1 ;;
    --list)
      while read -r each; do
        printf '%-20s %s\n' "$each" "$(sed -n 's,^// ,,p' "examples/$each"/"$each".cpp "examples/$each"/main.cpp 2>/dev/null | sed -n 2p)"
      done <<<"$names"
      exit 0 ;;
    --program-help) arguments+=(--help) own_data=1 own_clip_art=1 own_text=1 ;;
    --data | --data=*) own_data=1 own_text=1; arguments+=("$argument") ;;
    --text | --text=* | --questions | --questions=*) own_text=1; arguments+=("$argument") ;;
    --clip-art | --clip-art=*) own_clip_art=1; arguments+=("$argument") ;;
    *) arguments+=("$argument") ;;
  esac
done

. cmake/setup.sh
packages=(g++ cmake ninja-build libfmt-dev libcli11-dev nlohmann-json3-dev zlib1g-dev gnuplot-nox fonts-dejavu-core)
case $name in
  fashion_mnist | uncertainty | image_classification) [ "$own_data" = 1 ] || packages+=(dataset-fashion-mnist) ;;
esac
case $name in
  uncertainty)
    packages+=(libspng-dev)
    [ "$own_clip_art" = 1 ] || packages+=(openclipart-png) ;;
  image_classification) packages+=(libspng-dev libjpeg62-turbo-dev) ;;
  gpt2)  # the default text, for the commands that read one
    case ${arguments[0]:-} in
      prepare | train | perplexity | finetune | questions) [ "$own_text" = 1 ] || packages+=(bible-kjv bible-kjv-text) ;;
    esac ;;
esac
need_packages "${packages[@]}"
need_torch
build release "$name"
exec "build/release/examples/$name/$name" ${arguments[@]+"${arguments[@]}"}
