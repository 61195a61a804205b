#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Sets up, builds and runs the comparison of GPT-2 with nanoGPT, llm.c and transformers, and prints its tables.
set -euo pipefail
cd "$(dirname "$0")/../.."

usage() {
  cat <<'TEXT'
benchmarks/gpt2/run.sh [OPTION]...   training steps, generation and tokenizer of GPT-2 against others (twenty minutes)

  --quick         a few minutes: shows only that everything works
  --out DIR       where the table and the JSON go (default: build/gpt2_results)
  --save          put them into benchmarks/results/ instead, named by date, processor and LibTorch
  --help          this text; other options go to compare.py: --threads, --only, --text

What it compares with is found by environment variables, and left out where they are not set:
  IVON_NANOGPT          the folder of nanoGPT (git clone https://github.com/karpathy/nanoGPT)
  IVON_LLMC             the folder of llm.c (git clone https://github.com/karpathy/llm.c); it is built in a copy
  IVON_GPT2_VOCABULARY  a folder with encoder.json and vocab.bpe, or vocab.json and merges.txt

Set-up, at the first run: missing Debian packages by apt-get (as root or by sudo), LibTorch by pip into .venv unless one
is found, and, into .venv only, numpy, transformers, tokenizers and tiktoken. LibTorch must be the one of a Python
environment. Leave the machine alone while it measures. It takes up to 12 GiB of memory.
TEXT
}

. benchmarks/common/options.sh
read_options gpt2 "--threads= --only= --text=" "$@"

. cmake/setup.sh
. benchmarks/common/python.sh
need_packages g++ cmake make ninja-build libbenchmark-dev libcli11-dev nlohmann-json3-dev libfmt-dev zlib1g-dev \
  bible-kjv python3
need_torch
build vision gpt2_benchmark  # a preset for both benchmarks, so that the examples' libraries are compiled once

find_python
python_package numpy numpy
python_package transformers transformers
python_package tokenizers tokenizers
python_package tiktoken tiktoken

exec "$python" benchmarks/gpt2/compare.py --out "$out" --program build/vision/benchmarks/gpt2/gpt2_benchmark \
  ${options[@]+"${options[@]}"}
