#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sets up, builds and runs the comparison of image training with Python, and prints its tables.
set -euo pipefail
cd "$(dirname "$0")/../.."

usage() {
  cat <<'TEXT'
benchmarks/vision/run.sh [OPTION]...   training steps and image loading against Python (about fifteen minutes)

  --quick         two minutes: shows only that everything works
  --photos DIR    JPEG files to read (default: build/data/photos, made at the first run)
  --out DIR       where the table and the JSON go (default: build/vision_results)
  --save          put them into benchmarks/results/ instead, named by date, processor and LibTorch
  --help          this text; other options go to compare.py: --threads, --workers, --only, --bf16

Set-up, at the first run: missing Debian packages by apt-get (as root or by sudo), LibTorch by pip into .venv unless one
is found, and, into .venv only, torchvision, Pillow, simplejpeg and scikit-learn (whose photographs the files are made
of). LibTorch must be the one of a Python environment. Leave the machine alone while it measures.
TEXT
}

. benchmarks/common/options.sh
read_options vision "--photos= --threads= --workers= --only= --bf16" "$@"
photos=build/data/photos own_photos=0
for option in ${options[@]+"${options[@]}"}; do
  case $option in --photos=*) photos=${option#*=} own_photos=1 ;; esac
done

. cmake/setup.sh
need_packages g++ cmake ninja-build libbenchmark-dev libcli11-dev nlohmann-json3-dev libfmt-dev zlib1g-dev libspng-dev \
  libjpeg62-turbo-dev python3
need_torch
build vision vision_benchmark

. benchmarks/common/python.sh
find_python
# torchvision 0.28 is the one of torch 2.13: its number is 15 more than torch's. Without its dependencies, so that torch
# stays the one that the program is linked with.
minor=$(torch_version_in "$ivon_torch_dir" | cut -d . -f 2)
python_package numpy numpy
python_package PIL pillow
python_package torchvision "torchvision==0.$((minor + 15)).*" --no-deps \
  ${IVON_TORCH_INDEX:+--index-url "$IVON_TORCH_INDEX"}
python_package simplejpeg simplejpeg --no-deps

make_photos() {
  rm -rf "$photos.part"
  "$python" benchmarks/vision/make_photos.py "$photos.part" 128
  mv "$photos.part" "$photos"
}
if [ ! -d "$photos" ]; then
  [ "$own_photos" = 0 ] || fail "--photos: there is no folder $photos"
  python_package sklearn scikit-learn
  mkdir -p "$(dirname "$photos")"
  step "data: photographs of ImageNet's size" make_photos ||
    fail "the photographs could not be made; name a folder of JPEG files by --photos"
fi

exec "$python" benchmarks/vision/compare.py --photos "$photos" --out "$out" \
  --program build/vision/benchmarks/vision/vision_benchmark ${options[@]+"${options[@]}"}
