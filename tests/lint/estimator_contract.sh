#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks that an estimator without one of the contract's members does not compile, and that the message says what is
# missing.
#   tests/lint/estimator_contract.sh CXX [PROJECT]
set -euo pipefail
cxx=$1
cd "${2:-$(dirname "$0")/../..}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/estimator.cpp" <<'TEXT'
#include <ivon/estimator.hpp>
struct Own {
#ifndef NO_NAME
  static constexpr const char* kName = "own";
#endif
#ifndef NO_DEVIATION
  static constexpr bool kUsesDeviation = true;
#endif
#ifndef NO_STATISTIC
  template <class T>
  static T statistic(const T& deviation, const T& gradient) { return deviation * gradient; }
#endif
#ifndef NO_ADD_STATISTIC
  template <class T>
  static T add_statistic(const T& sum, const T& deviation, const T& gradient) { return sum + deviation * gradient; }
#endif
#ifndef NO_HESSIAN
  template <class T>
  static T hessian(const T& damped_hess, const T& average) { return damped_hess * average; }
#endif
};
static_assert(ivon::detail::check_estimator<Own, float>());
TEXT

compile() { "$cxx" -std=c++17 -fsyntax-only -Iinclude "$@" "$work/estimator.cpp" 2>"$work/log"; }

compile || { cat "$work/log" >&2; echo "estimator_contract: a complete estimator does not compile" >&2; exit 1; }
errors=0
while IFS='|' read -r macro message; do
  if compile "-D$macro"; then
    echo "estimator_contract: compiles with $macro" >&2
    errors=$((errors + 1))
  elif ! grep -qF "$message" "$work/log"; then
    cat "$work/log" >&2
    echo "estimator_contract: $macro: the message does not say: $message" >&2
    errors=$((errors + 1))
  fi
done <<'TEXT'
NO_NAME|ivon: the estimator needs a name for archives: static constexpr const char* kName
NO_DEVIATION|ivon: the estimator must say whether it reads theta - m: static constexpr bool kUsesDeviation
NO_STATISTIC|static T statistic(const T& deviation, const T& gradient)
NO_ADD_STATISTIC|static T add_statistic(const T& sum, const T& deviation, const T& gradient)
NO_HESSIAN|static T hessian(const T& damped_hess, const T& average)
TEXT
[ "$errors" -eq 0 ] || exit 1
echo "estimator_contract: each missing member is named"
