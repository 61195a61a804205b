# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by run.sh after cmake/setup.sh: what the tests of the CUDA path need, none of which is a GPU. Everything that
# cannot be had is named and its tests are shown as skipped.

ivon_nvrtc_version=13.5.37      # any that knows sm_75 to sm_100 will do
ivon_cuda_torch_version=2.14.1  # a CUDA build, of which only the headers are taken

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

# Sets IVON_NVRTC to a libnvrtc: the variable itself, the one beside LibTorch, else PyPI's.
need_nvrtc() {
  local folder=build/nvrtc
  IVON_NVRTC=${IVON_NVRTC:-$(find "$ivon_torch_dir/../../../../nvidia" "$folder" -name 'libnvrtc.so.1[23]' 2>/dev/null | head -n 1 || true)}
  if [ -z "$IVON_NVRTC" ]; then
    need_pip && step "Python: NVRTC $ivon_nvrtc_version into $folder" "${ivon_pip[@]}" install --no-deps \
      --target "$folder" "nvidia-cuda-nvrtc==$ivon_nvrtc_version" ||
      say "   not to be had; its tests are skipped. IVON_NVRTC=<libnvrtc.so.13> names one that you have"
    IVON_NVRTC=$(find "$folder" -name 'libnvrtc.so.1[23]' 2>/dev/null | head -n 1 || true)
  fi
  [ -z "$IVON_NVRTC" ] || IVON_NVRTC=$(realpath "$IVON_NVRTC")
  ivon_cmake_options+=("-DIVON_NVRTC=$IVON_NVRTC")
  say "-- NVRTC: ${IVON_NVRTC:-none}"
}

# The headers of a CUDA LibTorch, unpacked from its wheel.
need_cuda_torch_headers() {
  local folder=build/torch-$ivon_cuda_torch_version
  if [ ! -f "$folder/torch/include/ATen/ATen.h" ]; then
    need_pip && step "Python: headers of torch $ivon_cuda_torch_version (CUDA) into $folder" \
      unpack_torch_headers "$folder" ||
      say "   not to be had; compiling against them is skipped"
  fi
  ivon_cmake_options+=("-DIVON_CUDA_TORCH_HEADERS=$(realpath "$folder" 2>/dev/null || true)")
}
unpack_torch_headers() {
  local folder=$1 wheels=$1/wheels
  rm -rf "$folder" && mkdir -p "$wheels" &&
    "${ivon_pip[@]}" download --no-deps --only-binary :all: --dest "$wheels" "torch==$ivon_cuda_torch_version" &&
    python3 - "$wheels" "$folder" <<'PYTHON' && rm -rf "$wheels"
import glob, sys, zipfile
with zipfile.ZipFile(glob.glob(sys.argv[1] + "/torch-*.whl")[0]) as wheel:
    wheel.extractall(sys.argv[2], [name for name in wheel.namelist() if name.startswith("torch/include/")])
PYTHON
}
