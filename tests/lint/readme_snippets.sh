#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks the C++ in README.md, CONTRIBUTING.md and docs/*.md. A comment on the line before a ```cpp block says how:
#   <!-- snippet: file examples/quickstart/quickstart.cpp -->   the block equals that file, line by line
#   <!-- snippet: compile -->   the block compiles inside a function and runs without an exception; if it has a main()
#                               it is a program of its own. What it may use undeclared (model, loader, loss_fn, x, ...)
#                               stands in tests/lint/snippet_prelude.hpp; an `optimizer` too, unless it makes one.
#   <!-- snippet: none, because ... -->   not checked
# Blocks without a comment are counted and named; in README.md they are an error.
#   tests/lint/readme_snippets.sh BUILD     BUILD is a configured build folder, which knows where LibTorch is
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/lint/common.sh

build=${1:-build/test}
compiler=${CXX:-g++}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# Writes block N to $folder/N.cpp and a line "N document line mark" to $folder/list.
documents=()
for document in README.md CONTRIBUTING.md docs/*.md; do
  [ -f "$document" ] && documents+=("$document")
done
[ ${#documents[@]} -gt 0 ] || { echo "snippets: no document found" >&2; exit 1; }
awk -v folder="$folder" '
  FNR == 1 { mark = ""; inside = 0 }
  inside && /^```[[:space:]]*$/ { inside = 0; mark = ""; close(out); next }
  inside { print > out; next }
  /^<!-- snippet: .* -->$/ { mark = $0; sub(/^<!-- snippet: /, "", mark); sub(/ -->$/, "", mark); next }
  /^```cpp/ { n++; inside = 1; out = folder "/" n ".cpp"; printf "" > out
              print n, FILENAME, FNR, (mark == "" ? "unmarked" : mark) > (folder "/list"); next }
  !/^[[:space:]]*$/ { mark = "" }
' "${documents[@]}"
touch "$folder/list"

errors=0 files=0 compiled=0 skipped=0 unmarked=0
complain() {
  echo "$1" >&2
  errors=$((errors + 1))
}

# Each block becomes a function of one program: LibTorch is compiled once.
program=$folder/program.cpp
main=$folder/main.part
printf '#include "snippet_prelude.hpp"\n' >"$program"
: >"$main"
while read -r number document line mark; do
  case $mark in
    "file "*)
      files=$((files + 1))
      diff -u "${mark#file }" "$folder/$number.cpp" >"$folder/diff" ||
        complain "$document:$line: the block is not ${mark#file } any more:
$(head -n 30 "$folder/diff")" ;;
    compile)
      compiled=$((compiled + 1))
      if grep -q '\bmain(' "$folder/$number.cpp"; then
        printf 'namespace snippet_%s {\n#define main program_main\n#line %s "%s"\n' "$number" $((line + 1)) "$document"
        grep -v '^#include' "$folder/$number.cpp"
        printf '#undef main\n}\n'
        printf '  std::cerr << "%s:%s\\n";\n  snippet_%s::program_main();\n' "$document" "$line" "$number" >>"$main"
      else
        printf 'void snippet_%s() {\n  SNIPPET_NAMES;\n' "$number"
        grep -qE 'optimizer *(\(|=|\{)|optimizer;' "$folder/$number.cpp" || printf '  SNIPPET_OPTIMIZER;\n'
        # In a block of its own, a snippet may declare a name that the prelude has.
        printf '  {\n#line %s "%s"\n' $((line + 1)) "$document"
        grep -v '^#include' "$folder/$number.cpp" || true
        printf '  }\n}\n'
        printf '  std::cerr << "%s:%s\\n";\n  snippet_%s();\n' "$document" "$line" "$number" >>"$main"
      fi >>"$program" ;;
    none*) skipped=$((skipped + 1)) ;;
    *)
      unmarked=$((unmarked + 1))
      if [ "$document" = README.md ]; then
        complain "$document:$line: a cpp block without a <!-- snippet: ... --> comment, or an unknown one: $mark"
      else
        echo "$document:$line: not checked, no <!-- snippet: ... --> comment"
      fi ;;
  esac
done <"$folder/list"

if [ "$compiled" -gt 0 ]; then
  { printf 'int main() {\n'; cat "$main"; printf '}\n'; } >>"$program"
  root=$(torch_root "$build")
  torch_includes "$build"
  if "$compiler" -std=c++17 -Iinclude -Itests/lint "${includes[@]}" "$program" -o "$folder/program" -L"$root/lib" \
    -Wl,-rpath,"$root/lib" -Wl,--no-as-needed -ltorch -ltorch_cpu -lc10; then
    bash -c 'cd "$1" && exec ./program' _ "$folder" >"$folder/output" 2>&1 ||
      complain "a snippet failed; the last lines, with the snippet's place:
$(grep -v '^frame #' "$folder/output" | tail -n 8)"
  else
    complain "the snippets do not compile"
  fi
fi
echo "snippets: $files equal their file, $compiled compiled and run, $skipped marked none, $unmarked unmarked," \
  "$errors errors in ${#documents[@]} documents"
[ "$errors" = 0 ]
