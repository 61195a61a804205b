# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by the scripts beside it: finds tools, and the compiler options of LibTorch from a build folder.

# find_tool <name>...: prints the first that is there.
find_tool() {
  local name
  for name in "$@"; do
    if command -v "$name" >/dev/null; then
      echo "$name"
      return
    fi
  done
  echo "none of these is installed: $*" >&2
  return 1
}

# torch_root <build folder>: prints the folder of LibTorch's include/ and lib/, as CMake found it.
torch_root() {
  local config
  config=$(sed -n 's/^Torch_DIR:[A-Z]*=//p' "$1/CMakeCache.txt")
  [ -f "$config/TorchConfig.cmake" ] || { echo "no LibTorch in $1/CMakeCache.txt; configure it first" >&2; return 1; }
  (cd "$config/../../.." && pwd)
}

# torch_includes <build folder>: sets the array includes to the include options.
torch_includes() {
  local root
  root=$(torch_root "$1") || return 1
  includes=(-isystem "$root/include" -isystem "$root/include/torch/csrc/api/include")
}
