#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks that every public name has documentation: writes the reference by docs/Doxyfile into a temporary folder and
# fails with a line "file:line: name" for each name without a comment.
#   tests/lint/reference.sh [PROJECT]
set -euo pipefail
cd "${1:-$(dirname "$0")/../..}"

if ! command -v doxygen >/dev/null; then
  echo "reference: doxygen is not installed; install the Debian package doxygen: apt-get install doxygen" >&2
  exit 1
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

status=0
{ cat docs/Doxyfile && echo "OUTPUT_DIRECTORY = $folder"; } | doxygen - >"$folder/output" 2>&1 || status=$?

# "FILE:LINE: error: Member NAME (function) of class SCOPE is not documented." becomes "FILE:LINE: SCOPE::NAME".
sed -nE -e "s|^$PWD/||" \
  -e 's/^([^ ]+:[0-9]+): (error|warning): Member (.*) \([a-z ]+\) of [a-z]+ (.*) is not documented\.$/\1: \4::\3/p' \
  -e 's/^([^ ]+:[0-9]+): (error|warning): .* (.*) is not documented\.$/\1: \3/p' "$folder/output" |
  LC_ALL=C sort -u -t : -k 1,1 -k 2,2n -k 3 >"$folder/undocumented"
grep -v ' is not documented\.$' "$folder/output" | sed "s|^$PWD/||" | LC_ALL=C sort -u >"$folder/other" || true
cat "$folder/undocumented" "$folder/other" >&2

count=$(wc -l <"$folder/undocumented")
if [ "$count" -gt 0 ]; then
  echo "reference: public names without documentation: $count. Write a comment that begins with /// before each:" >&2
  echo "  its meaning, shape, unit, range, what it throws and its source. A class of namespace detail that is not" >&2
  echo "  public goes into EXCLUDE_SYMBOLS of docs/Doxyfile instead." >&2
fi
if [ -s "$folder/other" ]; then
  echo "reference: doxygen could not read a comment or a document as meant; correct what the messages name" >&2
fi
if [ "$status" -ne 0 ] || [ -s "$folder/output" ]; then
  echo "reference: failed, doxygen's status is $status" >&2
  exit 1
fi
# A header that doxygen did not read would pass unchecked.
for header in include/ivon/*.hpp include/ivon/posterior/*.hpp include/ivon/posterior/metrics/*.hpp; do
  page=$(basename "$header" .hpp | sed 's/_/__/g')_8hpp_source.html
  [ -f "$folder/reference/$page" ] || { echo "reference: doxygen did not read $header; see docs/Doxyfile" >&2; exit 1; }
done
for page in classivon_1_1IVON classivon_1_1IVONOptions namespaceivon; do
  [ -f "$folder/reference/$page.html" ] || { echo "reference: no page $page.html; see docs/Doxyfile" >&2; exit 1; }
done
echo "reference: every public name has documentation, by doxygen $(doxygen --version)"
