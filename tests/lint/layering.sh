#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks the layers of docs/architecture.md over the #include lines of every file under include/ivon:
#   - a file includes files of its own layer or of layers below it,
#   - no chain of includes leads back to where it began (the bodies of IVON include the class that includes them),
#   - under kernels/ nothing includes LibTorch.
#   tests/lint/layering.sh [PROJECT]
set -euo pipefail
cd "${1:-$(dirname "$0")/../..}"/include/ivon

# The layer of a file, given relative to include/ivon; higher numbers may include lower ones.
layer() {
  case $1 in
    version.hpp) echo 0 ;;
    kernels/*) echo 1 ;;
    dispatch/*) echo 2 ;;
    options.hpp | state.hpp | estimator.hpp | noise.hpp | values/*) echo 3 ;;
    sampling/*) echo 4 ;;
    sampled_params.hpp | optimizer.hpp | optimizer/*) echo 5 ;;
    posterior/* | schedulers.hpp | cuda_backend.hpp | diagnostics.hpp | quantiles.hpp | adamw_state.hpp) echo 6 ;;
    ivon.hpp) echo 7 ;;
    *) echo unknown ;;
  esac
}

errors=0
complain() {
  echo "$1" >&2
  errors=$((errors + 1))
}

count=0
edges=""  # pairs for tsort: a file and one that it includes
while read -r file; do
  file=${file#./}
  count=$((count + 1))
  own=$(layer "$file")
  if [ "$own" = unknown ]; then
    complain "include/ivon/$file: in no layer; give it one in tests/lint/layering.sh and docs/architecture.md"
    continue
  fi
  [ "$file" = kernels/cuda/source.hpp ] && continue  # the text of other files as a string
  while read -r included; do
    [ -n "$included" ] || continue
    case $included in
      ivon/*) ;;
      torch/* | ATen/* | c10/* | caffe2/*)
        [ "$own" != 1 ] || complain "include/ivon/$file includes LibTorch ($included); nothing under kernels/ may"
        continue ;;
      *) continue ;;
    esac
    target=${included#ivon/}
    if [ ! -f "$target" ]; then
      complain "include/ivon/$file includes $included, which does not exist"
      continue
    fi
    theirs=$(layer "$target")
    if [ "$theirs" != unknown ] && [ "$theirs" -gt "$own" ]; then
      complain "include/ivon/$file (layer $own) includes $included (layer $theirs), which is above it"
    fi
    case $file:$target in
      optimizer.hpp:optimizer/*) ;;
      *) edges+="$file $target"$'\n' ;;
    esac
  done < <(sed -n 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*[<"]\([^>"]*\)[>"].*/\1/p' "$file")
  if grep -q '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' "$file"; then
    complain "include/ivon/$file includes with quotes; write #include <ivon/...>"
  fi
done < <(find . -name '*.hpp' -o -name '*.inl' | LC_ALL=C sort)

[ "$count" -gt 0 ] || complain "no header found under include/ivon"
if ! loop=$(tsort <<<"$edges" 2>&1 >/dev/null); then
  complain "these files include each other in a circle:"$'\n'"$(grep -v 'contains a loop' <<<"$loop")"
fi
[ "$errors" -eq 0 ] || { echo "layering: $errors errors in $count files" >&2; exit 1; }
echo "layering: $count files, none includes one above it"
