# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by tests/gpu.sh and benchmarks/gpu.sh: finds a LibTorch that is linked by path, with no package installed.

fail() {
  printf '\nivon: %s\n' "$*" >&2
  exit 1
}

# find_torch <gpu or not>: sets torch (a folder with include/ and lib/), torch_version, torch_cuda (version or none)
# and torch_standard (of C++) from IVON_TORCH, else from the torch of PYTHON; with `gpu`, one that sees a GPU.
find_torch() {
  local tool
  python=${PYTHON:-python3}
  for tool in g++ cmake ninja "$python"; do
    command -v "$tool" >/dev/null || fail "$tool is missing; install it"
  done
  if [ -n "${IVON_TORCH:-}" ]; then
    torch=$IVON_TORCH
    [ -d "$torch/include/ATen" ] || fail "IVON_TORCH must be a folder with include/ and lib/ of LibTorch, got $torch"
    torch_version=$(sed -n 's/^set(PACKAGE_VERSION "\([0-9.]*\).*/\1/p' "$torch/share/cmake/Torch/TorchConfigVersion.cmake")
    torch_cuda=none
    [ ! -e "$torch/lib/libtorch_cuda.so" ] || torch_cuda=unknown
  else
    read -r torch torch_version torch_cuda < <("$python" -c '
import os, torch
print(os.path.dirname(torch.__file__), torch.__version__, torch.version.cuda or "none")') ||
      fail "$python has no torch; name another by PYTHON=..., or a LibTorch by IVON_TORCH=..."
  fi
  torch_standard=17
  [ "$(printf '%s\n2.14\n' "${torch_version%%+*}" | sort -V | head -n 1)" != 2.14 ] || torch_standard=20
  [ "$1" = gpu ] || return 0
  [ "$torch_cuda" != none ] || fail "torch $torch_version in $torch has no CUDA; install a CUDA build, or look at --help"
  "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' ||
    fail "torch $torch_version (CUDA $torch_cuda) sees no GPU; nvidia-smi tells whether the driver does"
}
