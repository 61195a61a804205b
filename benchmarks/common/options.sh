# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Sourced by the scripts that compare with Python: reads their options. The script has a function `usage`.

# read_options <comparison> "<own option>..." [<argument>]...: an own option that takes a value is given as --name=
# Sets `out`, the folder of the results, and `options`, those that compare.py gets. Ends the script where one is wrong.
# shellcheck disable=SC2034  # the script reads out and options
read_options() {
  local comparison=$1 own=" $2 " quick=0 save=0
  out=build/$1_results options=()
  shift 2
  while [ $# -gt 0 ]; do
    case $1 in
      -h | --help) usage; exit 0 ;;
      --quick) quick=1; options+=(--quick) ;;
      --save) save=1 ;;
      --out) out=${2:?--out needs a folder}; shift ;;
      --out=*) out=${1#*=} ;;
      *)
        case $own in
          *" $1= "*) options+=("$1=${2:?$1 needs a value}"); shift ;;
          *" ${1/=*/=} "*) options+=("$1") ;;  # --name=value, or a name alone
          *) usage >&2; exit 2 ;;
        esac ;;
    esac
    shift
  done
  [ "$save" = 1 ] || return 0
  if [ "$quick" = 1 ]; then
    echo "benchmarks/$comparison/run.sh: --quick is no result to save" >&2
    exit 2
  fi
  out=benchmarks/results
}
