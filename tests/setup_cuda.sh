# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by run.sh after cmake/setup.sh: what the tests of the CUDA path need, none of which is a GPU. Everything that
# cannot be had is named and its tests are shown as skipped.

ivon_nvrtc=nvidia-cuda-nvrtc==13.5.37            # any that knows sm_75 to sm_100 will do
ivon_oldest_nvrtc=nvidia-cuda-nvrtc-cu11==11.8.89  # the oldest that a LibTorch brings
ivon_cuda_torch_version=2.14.1    # a CUDA build; of both only the headers are taken
ivon_oldest_torch_version=2.4.0   # the oldest that ivon supports

# A Python with pip, for packages that are only unpacked.
need_pip() {
  ivon_pip=(python3 -m pip)
  if [ -x .venv/bin/pip ]; then
    ivon_pip=(.venv/bin/python -m pip)
  elif ! python3 -m pip --version >/dev/null 2>&1; then
    need_packages python3-venv
    step "Python: virtual environment for packages" python3 -m venv build/venv || return 1
    ivon_pip=(build/venv/bin/python -m pip)
  fi
  ivon_pip+=(--disable-pip-version-check)
}

# Sets IVON_NVRTC to a libnvrtc: the variable itself, the one beside LibTorch, else PyPI's; and IVON_OLDEST_NVRTC.
need_nvrtc() {
  local beside
  beside=$(find "$ivon_torch_dir/../../../../nvidia" -name 'libnvrtc.so.1[23]' 2>/dev/null | head -n 1 || true)
  bring_nvrtc IVON_NVRTC "${IVON_NVRTC:-$beside}" "$ivon_nvrtc"
  bring_nvrtc IVON_OLDEST_NVRTC "${IVON_OLDEST_NVRTC:-}" "$ivon_oldest_nvrtc"
}
# bring_nvrtc <variable> <file that is there, or nothing> <package==version>
bring_nvrtc() {
  local variable=$1 file=$2 package=$3 folder=build/nvrtc-${3##*==}
  if [ -z "$file" ] && [ ! -d "$folder" ]; then
    need_pip && step "Python: $package into $folder" "${ivon_pip[@]}" install --no-deps --target "$folder" "$package" ||
      say "   not to be had; its tests are skipped. $variable=<libnvrtc.so.N> names one that you have"
  fi
  [ -n "$file" ] || file=$(find "$folder" -name 'libnvrtc.so.1*' 2>/dev/null | head -n 1 || true)
  [ -z "$file" ] || file=$(realpath "$file")
  printf -v "$variable" '%s' "$file"
  ivon_cmake_options+=("-D$variable=$file")
  say "-- $variable: ${file:-none}"
}

# The headers of a CUDA LibTorch and of the oldest LibTorch, unpacked from their wheels.
need_torch_headers() {
  bring_torch_headers IVON_CUDA_TORCH_HEADERS "$ivon_cuda_torch_version"
  # The wheel for aarch64 is a tenth of the others; its headers are the same.
  bring_torch_headers IVON_OLDEST_TORCH_HEADERS "$ivon_oldest_torch_version" \
    --platform manylinux2014_aarch64 --python-version 3.11
}
# bring_torch_headers <variable> <version> <option of pip download>...
bring_torch_headers() {
  local variable=$1 version=$2 folder=build/torch-$2
  shift 2
  if [ ! -f "$folder/torch/include/ATen/ATen.h" ]; then
    need_pip && step "Python: headers of torch $version into $folder" unpack_torch_headers "$folder" "torch==$version" "$@" ||
      say "   not to be had; compiling against them is skipped"
  fi
  ivon_cmake_options+=("-D$variable=$(realpath "$folder" 2>/dev/null || true)")
}
unpack_torch_headers() {
  local folder=$1 package=$2 wheels=$1/wheels
  shift 2
  rm -rf "$folder" && mkdir -p "$wheels" &&
    "${ivon_pip[@]}" download --no-deps --only-binary :all: --dest "$wheels" "$@" "$package" &&
    python3 - "$wheels" "$folder" <<'PYTHON' && rm -rf "$wheels"
import glob, sys, zipfile
with zipfile.ZipFile(glob.glob(sys.argv[1] + "/torch-*.whl")[0]) as wheel:
    wheel.extractall(sys.argv[2], [name for name in wheel.namelist() if name.startswith("torch/include/")])
PYTHON
}
