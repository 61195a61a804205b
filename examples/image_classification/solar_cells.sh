#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Defect detection on solar cells: fetches the 2,624 images of elpv-dataset, arranges them for training and test, builds
# image_classification and compares IVON, AdamW and SGD on them.
set -euo pipefail
here=examples/image_classification
case ${IVON_SOLAR_CELLS:-/} in
  /*) ;;
  *) IVON_SOLAR_CELLS=$PWD/$IVON_SOLAR_CELLS ;;
esac
cd "$(dirname "$0")/../.."

version=1.0.0.post1  # of elpv-dataset on PyPI
cells=2624
data=build/data/solar_cells
unpacked=build/data/elpv-dataset
list=$here/solar_cells_test.txt

usage() {
  cat <<TEXT
$here/solar_cells.sh [--prepare-only] [OPTION]...   compares optimizers on photographs of solar cells

  --prepare-only   only fetches and arranges the images
  --help           this text
  OPTION           goes to image_classification compare and wins over this script's choice, which a preset of --config
                   does not; --program-help lists all

This script chooses:
$(printf '%s\n' "${defaults[@]}" | paste -d ' ' - - - - - | sed 's/^/  /')

Set-up, at the first run: missing Debian packages by apt-get, LibTorch by pip into .venv, and the images (90 MB) by pip
from PyPI into build/data. What is there is not fetched again. An interrupted comparison goes on with --resume.
  IVON_SOLAR_CELLS=PATH   the wheel of elpv-dataset, or a folder with its labels.csv and images/: nothing is fetched
The images are under CC BY-NC-SA 4.0 (not for commercial use): Buerhop-Lutz et al. 2018, Deitsch et al. 2019.
TEXT
}

# An option a line; one that the user gives is left out, because the program takes each only once.
defaults=("--data $data" "--model resnet18" "--side 128" "--epochs 20" "--batch 32" "--seeds 2"
  "--optimizers ivon,adamw,sgd" "--crop shifted" "--flip-vertical" "--test-crop whole")

prepare_only=0
arguments=()
for argument in "$@"; do
  case $argument in
    -h | --help) usage; exit 0 ;;
    --program-help) arguments+=(--help) ;;
    --prepare-only) prepare_only=1 ;;
    *) arguments+=("$argument") ;;
  esac
done

# Prints the defaults that the user's arguments leave standing, a word a line.
standing_defaults() {
  local default name argument given
  for default in "${defaults[@]}"; do
    name=${default%% *} given=0
    for argument in "$@"; do
      case $argument in
        "$name" | "$name="* | "--no-${name#--}") given=1 ;;
      esac
    done
    [ "$given" = 1 ] || printf '%s\n' "$default" | tr ' ' '\n'
  done
}

# plan LABELS: the place of each cell below the data's folder, from the labels and the list of the test cells. A cell
# with a defect probability above 1/2 counts as defective.
plan() {
  LC_ALL=C awk '
    NR == FNR { if ($0 !~ /^#/) is_test[$1]; next }
    {
      file = $1
      sub(/.*\//, "", file)
      name = file
      sub(/\.png$/, "", name)
      print (name in is_test ? "test" : "train") "/" ($2 > 0.5 ? "defective" : "intact") "/" file
    }' "$list" "$1" | LC_ALL=C sort
}

# True where all cells lie in FOLDER as they should, and nothing else.
is_arranged() {
  [ -f "$1/labels.csv" ] || return 1
  (cd "$1" && find -L test train -type f -size +0 | LC_ALL=C sort) 2>/dev/null | cmp -s - <(plan "$1/labels.csv")
}

# Prints a Python that can run pip.
find_pip_python() {
  local each
  for each in .venv/bin/python python3; do
    if "$each" -m pip --version >/dev/null 2>&1; then
      echo "$each"
      return
    fi
  done
}

# Sets wheel to elpv-dataset's wheel, fetched into build/data.
fetch_wheel() {
  local python
  wheel=$(find build/data -maxdepth 1 -name 'elpv_dataset-*.whl' 2>/dev/null | head -n 1)
  [ -z "$wheel" ] || return 0
  python=$(find_pip_python)
  if [ -z "$python" ]; then
    ! command -v apt-get >/dev/null || need_packages python3-pip
    python=$(find_pip_python)
    [ -n "$python" ] || fail "no Python with pip was found; install one, or set IVON_SOLAR_CELLS (see --help)"
  fi
  step "Solar cells: elpv-dataset $version from PyPI (90 MB)" "$python" -m pip download \
    --disable-pip-version-check --no-deps --only-binary :all: -d build/data "elpv-dataset==$version" ||
    fail "pip could not fetch elpv-dataset==$version.
  Is there a network? Without one, fetch the wheel elsewhere from https://pypi.org/project/elpv-dataset/#files
  and run this again with IVON_SOLAR_CELLS=<the file>."
  wheel=$(find build/data -maxdepth 1 -name 'elpv_dataset-*.whl' | head -n 1)
}

# unpack WHEEL: into $unpacked, which is there only once it is whole. The wheel itself stays.
unpack() {
  command -v python3 >/dev/null || need_packages python3
  rm -rf "$unpacked" "$unpacked.part"
  step "Solar cells: unpacking" python3 -m zipfile -e "$1" "$unpacked.part" ||
    fail "$1: cannot be unpacked; remove it and run this again, or name a whole file by IVON_SOLAR_CELLS"
  mv "$unpacked.part" "$unpacked"
}

# Sets source to the folder with labels.csv and images/.
find_source() {
  local folder=$unpacked labels
  if [ -n "${IVON_SOLAR_CELLS:-}" ]; then
    [ -e "$IVON_SOLAR_CELLS" ] || fail "IVON_SOLAR_CELLS: $IVON_SOLAR_CELLS does not exist; name a wheel or a folder"
    if [ -d "$IVON_SOLAR_CELLS" ]; then folder=$IVON_SOLAR_CELLS; else unpack "$IVON_SOLAR_CELLS"; fi
  elif [ ! -d "$unpacked" ]; then
    fetch_wheel
    unpack "$wheel"
  fi
  while read -r labels; do
    source=$(cd "$(dirname "$labels")" && pwd)
    [ ! -d "$source/images" ] || return 0
  done < <(find -L "$folder" -maxdepth 5 -name labels.csv)
  fail "$folder: must hold labels.csv and, beside it, images/; name another by IVON_SOLAR_CELLS or remove this one"
}

# Links the images of $source to their places: hard links, or symbolic ones from another file system.
link_cells() {
  local part=$data.part group links=(ln -f)
  rm -rf "$part"
  mkdir -p "$part"
  cp "$source/labels.csv" "$part/labels.csv"
  ln -f "$source/images/cell0001.png" "$part/probe" 2>/dev/null || links=(ln -sf)
  rm -f "$part/probe"
  for group in train/defective train/intact test/defective test/intact; do
    mkdir -p "$part/$group"
    plan "$source/labels.csv" | sed -n "s,^$group/,$source/images/,p" | tr '\n' '\0' |
      xargs -0 "${links[@]}" -t "$part/$group" ||
      fail "$source/images: not all cells of labels.csv are there; name whole data by IVON_SOLAR_CELLS or remove these"
  done
}

prepare() {
  if is_arranged "$data"; then
    say "-- Solar cells: all $cells in $data"
    return
  fi
  mkdir -p build/data
  find_source
  [ "$(plan "$source/labels.csv" | wc -l)" = "$cells" ] ||
    fail "$source/labels.csv: must have $cells cells, but has $(plan "$source/labels.csv" | wc -l)"
  link_cells
  is_arranged "$data.part" ||
    fail "$source/images: some cells are missing or empty; remove $unpacked, or name whole data by IVON_SOLAR_CELLS"
  rm -rf "$data"
  mv "$data.part" "$data"
  say "-- Solar cells: $cells arranged in $data"
}

. cmake/setup.sh
if [ "$prepare_only" = 1 ]; then
  prepare
  exit
fi
need_packages g++ cmake ninja-build libfmt-dev libcli11-dev nlohmann-json3-dev zlib1g-dev libspng-dev \
  libjpeg62-turbo-dev gnuplot-nox fonts-dejavu-core
need_torch
prepare
build release image_classification
mapfile -t standing < <(standing_defaults ${arguments[@]+"${arguments[@]}"})
exec build/release/examples/image_classification/image_classification compare \
  ${standing[@]+"${standing[@]}"} ${arguments[@]+"${arguments[@]}"}
