// SPDX-License-Identifier: Apache-2.0
// Writes and reads the file of a Posterior, which docs/posterior.md describes.
#pragma once

#include <ATen/core/Dict.h>
#include <ATen/core/List.h>
#include <ATen/core/ivalue.h>
#include <ATen/core/jit_type.h>
#include <c10/util/Exception.h>

#include <cstddef>
#include <cstdint>
#include <ivon/posterior/internal/atomic_file.hpp>
#include <ivon/posterior/internal/pickled_file.hpp>
#include <ivon/posterior/posterior_parameter.hpp>
#include <ivon/values/archive_values.hpp>
#include <ivon/version.hpp>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

IVON_NAMESPACE_BEGIN
namespace detail {

inline constexpr const char* kPosteriorFormat = "ivon.Posterior";
inline constexpr int64_t kPosteriorVersion = 1;

/// A field of PosteriorParameter that a file has as a dictionary from names to tensors.
struct PosteriorField {
  const char* key;
  at::Tensor PosteriorParameter::*tensor;
  bool required;
};
inline constexpr PosteriorField kPosteriorFields[] = {
    {"mean", &PosteriorParameter::mean, true},
    {"precision", &PosteriorParameter::precision, true},
    {"prior_mean", &PosteriorParameter::prior_mean, false},
    {"prior_precision", &PosteriorParameter::prior_precision, false},
};

/// What a file holds: the arguments of Posterior's constructor.
struct PosteriorContent {
  std::vector<PosteriorParameter> parameters;
  std::optional<double> ess;
  std::vector<std::string> left_out;
};

/// Returns the content as plain dictionaries, which Python reads as such.
inline c10::impl::GenericDict dictionary_of(const PosteriorContent& posterior) {
  c10::impl::GenericDict content(c10::StringType::get(), c10::AnyType::get());
  content.insert("format", kPosteriorFormat);
  content.insert("version", kPosteriorVersion);
  if (posterior.ess) content.insert("ess", *posterior.ess);
  content.insert("left_out",
                 c10::List<std::string>(c10::ArrayRef<std::string>(posterior.left_out)));
  for (const PosteriorField& field : kPosteriorFields) {
    c10::Dict<std::string, at::Tensor> tensors;
    for (const PosteriorParameter& parameter : posterior.parameters) {
      const at::Tensor& tensor = parameter.*field.tensor;
      if (tensor.defined()) tensors.insert(parameter.name, for_file(tensor));
    }
    if (field.required || !tensors.empty()) content.insert(field.key, tensors);
  }
  return content;
}

/// Reads the content of a file.
class PosteriorReader {
 public:
  /// Throws c10::Error as PickledFile does, or if the content cannot be interpreted.
  explicit PosteriorReader(const std::string& file) : file_(file) {
    const c10::IValue content = file_.content_of(file_.pickle(), "it is no posterior");
    TORCH_CHECK(content.isGenericDict(), "it holds no dictionary");
    for (const auto& item : content.toGenericDict()) {
      if (item.key().isString()) values_.emplace(item.key().toStringRef(), item.value());
    }
    check_format();
  }

  /// Returns the content. Throws c10::Error if it is not that of a posterior. The values of the
  /// tensors are not checked here.
  PosteriorContent content() const {
    std::vector<PosteriorParameter> parameters;
    std::map<std::string, size_t> places;
    for (const PosteriorField& field : kPosteriorFields) {
      const auto found = values_.find(field.key);
      TORCH_CHECK(found != values_.end() || !field.required, "it has no '", field.key, "'");
      if (found == values_.end()) continue;
      TORCH_CHECK(found->second.isGenericDict(), "its '", field.key, "' is no dictionary");
      for (const auto& item : found->second.toGenericDict()) {
        TORCH_CHECK(item.key().isString(), "a name in '", field.key, "' is no string");
        const std::string& name = item.key().toStringRef();
        const at::Tensor tensor = value_of<at::Tensor>(item.value(), name.c_str());
        file_.check_tensor(tensor, name);
        // The first field, the mean, determines the names and their order.
        if (&field == kPosteriorFields) {
          places.emplace(name, parameters.size());
          parameters.emplace_back();
          parameters.back().name = name;
        }
        const auto place = places.find(name);
        TORCH_CHECK(place != places.end(), "'", name, "' has a ", field.key, " but no mean");
        parameters[place->second].*field.tensor = tensor;
      }
    }
    std::optional<double> ess;
    if (const auto found = values_.find("ess"); found != values_.end()) {
      ess = found->second.isInt() ? static_cast<double>(found->second.toInt())
                                  : value_of<double>(found->second, "ess");
    }
    std::vector<std::string> left_out;
    if (const auto found = values_.find("left_out"); found != values_.end()) {
      left_out = value_of<std::vector<std::string>>(found->second, "left_out");
    }
    return {std::move(parameters), ess, std::move(left_out)};
  }

 private:
  void check_format() {
    const auto format = values_.find("format"), version = values_.find("version");
    TORCH_CHECK(format != values_.end() && format->second.isString() &&
                    format->second.toStringRef() == kPosteriorFormat && version != values_.end() &&
                    version->second.isInt(),
                "it is a file of PyTorch, but not of ivon::Posterior");
    const int64_t number = version->second.toInt();
    TORCH_CHECK(number == kPosteriorVersion, "it has version ", number,
                " of the format, but this ivon reads version ", kPosteriorVersion, "; ",
                number > kPosteriorVersion ? "update ivon" : "the version is damaged");
  }

  PickledFile file_;
  std::map<std::string, c10::IValue> values_;
};

/// Writes the file by AtomicFile. Throws c10::Error that names the file if this fails.
inline void write_posterior(const std::string& file, const PosteriorContent& content) {
  AtomicFile out(file);
  write_pickled(dictionary_of(content), out);
  const std::string failure = out.commit();
  TORCH_CHECK(failure.empty(), "ivon: ", failure);
}

}  // namespace detail
IVON_NAMESPACE_END
