# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced after cmake/setup.sh by the scripts that compare with Python: finds the Python whose torch the program is
# linked with, and installs what it lacks.

# find_python: sets `python`. need_torch must have been called.
find_python() {
  python=${ivon_torch_dir%/lib*/python3*}/bin/python3
  [ -x "$python" ] ||
    fail "LibTorch must be that of a Python environment here, got $ivon_torch_dir; unset Torch_DIR and
  CMAKE_PREFIX_PATH"
}

# python_package <module> <package> [<option>]...: installs it where it is missing and the Python is the project's own.
python_package() {
  ! "$python" -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('$1') is None)" || return 0
  [ "$python" -ef .venv/bin/python3 ] || return 0  # compare.py says what is missing
  step "Python: $2 into .venv" .venv/bin/python -m pip install --disable-pip-version-check "${@:2}" ||
    say "   going on without $2"
}
