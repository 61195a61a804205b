// SPDX-License-Identifier: Apache-2.0
// Reads values of an archive, and throws a clear error if one is missing or has the wrong type.
#pragma once

#include <ATen/core/ivalue.h>
#include <c10/util/Exception.h>
#include <torch/serialize/archive.h>

#include <cstdint>
#include <ivon/version.hpp>
#include <string>
#include <type_traits>
#include <vector>

IVON_NAMESPACE_BEGIN
namespace detail {

/// Converts a stored value to bool, int64_t, double, string, tensor or a vector of those. Throws if
/// it has another type; `key` names it in the message.
template <class Value>
Value value_of(const c10::IValue& stored, const std::string& key) {
  const auto check = [&](bool fits, const char* wanted) {
    TORCH_CHECK(fits, "ivon: the archive's entry '", key, "' must be ", wanted, ", got ",
                stored.tagKind(), "; it is damaged");
  };
  if constexpr (std::is_same_v<Value, bool>) {
    check(stored.isBool(), "a truth value");
    return stored.toBool();
  } else if constexpr (std::is_same_v<Value, int64_t>) {
    check(stored.isInt(), "an integer");
    return stored.toInt();
  } else if constexpr (std::is_same_v<Value, double>) {
    check(stored.isDouble(), "a floating-point number");
    return stored.toDouble();
  } else if constexpr (std::is_same_v<Value, std::string>) {
    check(stored.isString(), "a text");
    return stored.toStringRef();
  } else if constexpr (std::is_same_v<Value, at::Tensor>) {
    check(stored.isTensor(), "a tensor");
    return stored.toTensor();
  } else {
    check(stored.isList(), "a list");
    const c10::List<c10::IValue> list = stored.toList();
    Value values;
    values.reserve(list.size());
    for (size_t i = 0; i < list.size(); ++i) {
      values.push_back(value_of<typename Value::value_type>(list.get(i), key));
    }
    return values;
  }
}

/// Reads the value under `key`. Throws if there is none.
template <class Value>
Value read_value(torch::serialize::InputArchive& archive, const std::string& key) {
  c10::IValue stored;
  TORCH_CHECK(archive.try_read(key, stored), "ivon: the archive has no entry '", key,
              "'; it is damaged");
  return value_of<Value>(stored, key);
}

/// Reads the list under `key`. Throws if there is none.
inline c10::List<c10::IValue> read_list(torch::serialize::InputArchive& archive,
                                        const std::string& key) {
  c10::IValue stored;
  TORCH_CHECK(archive.try_read(key, stored), "ivon: the archive has no entry '", key,
              "'; it is damaged");
  TORCH_CHECK(stored.isList(), "ivon: the archive's entry '", key, "' must be a list, got ",
              stored.tagKind(), "; it is damaged");
  return stored.toList();
}

}  // namespace detail
IVON_NAMESPACE_END
