// SPDX-License-Identifier: Apache-2.0
// Writes and reads the file of a Posterior, which docs/posterior.md describes.
#pragma once

#include <ATen/core/Dict.h>
#include <ATen/core/List.h>
#include <ATen/core/ivalue.h>
#include <ATen/core/jit_type.h>
#include <caffe2/serialize/inline_container.h>
#include <torch/csrc/jit/serialization/pickler.h>
#include <torch/csrc/jit/serialization/unpickler.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <ivon/posterior/internal/atomic_file.hpp>
#include <ivon/posterior/internal/checked_archive.hpp>
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

/// Returns the tensor on the CPU, in a storage of its own.
inline at::Tensor for_file(const at::Tensor& tensor) {
  const at::Tensor cpu = tensor.detach().to(at::kCPU);
  const bool fills = cpu.is_non_overlapping_and_dense() &&
                     cpu.storage().nbytes() == static_cast<size_t>(cpu.nbytes());
  return fills ? cpu : cpu.clone();
}

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
  /// Throws c10::Error as CheckedArchive does, or if the content cannot be interpreted.
  explicit PosteriorReader(const std::string& file) : archive_(file) {
    CheckedArchive::Entry* pickle = archive_.find("data.pkl");
    TORCH_CHECK(pickle != nullptr, "it is no file of PyTorch");
    size_t place = 0;
    const auto read = [&](char* out, size_t count) {
      count = std::min(count, pickle->size - place);
      if (count > 0) std::memcpy(out, static_cast<const char*>(pickle->data.get()) + place, count);
      place += count;
      return count;
    };
    const auto read_record = [this](const std::string& name) {
      CheckedArchive::Entry* entry = archive_.find("data/" + name);
      TORCH_CHECK(entry != nullptr && entry->data, "it lacks a tensor");
      sizes_[entry->data.get()] = entry->size;
      return std::move(entry->data);
    };
    torch::jit::Unpickler unpickler(read, nullptr, nullptr, read_record, at::kCPU);
    const c10::IValue content = parsed(unpickler);
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
        check_inside_record(tensor, name);
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
  static c10::IValue parsed(torch::jit::Unpickler& unpickler) {
    try {
      return unpickler.parse_ivalue();
    } catch (const c10::Error& error) {
      TORCH_CHECK(false, "it is no posterior: ", error.what_without_backtrace());
    }
  }

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

  // LibTorch's unpickler does not compare the size that a tensor claims with that of its record.
  void check_inside_record(const at::Tensor& tensor, const std::string& name) const {
    TORCH_CHECK(tensor.defined() && tensor.layout() == at::kStrided && tensor.is_cpu(), "'", name,
                "' is no dense tensor");
    if (tensor.storage().nbytes() == 0) return;
    const auto record = sizes_.find(tensor.storage().data());
    TORCH_CHECK(record != sizes_.end() && tensor.storage().nbytes() <= record->second, "'", name,
                "' is larger than its data");
  }

  CheckedArchive archive_;
  std::map<const void*, size_t> sizes_;  // of the records that became tensors, by address
  std::map<std::string, c10::IValue> values_;
};

/// Writes the file by AtomicFile. Throws c10::Error that names the file if this fails.
inline void write_posterior(const std::string& file, const PosteriorContent& content) {
  std::string pickle;
  // Without type tags, which Python does not accept with weights_only.
  torch::jit::Pickler pickler([&](const char* data, size_t size) { pickle.append(data, size); },
                              nullptr, nullptr, nullptr, nullptr, /*tag_aggregates=*/false);
  pickler.protocol();
  pickler.pushIValue(dictionary_of(content));
  pickler.stop();

  AtomicFile out(file);
  // The writer must not see a failure, because its destructor would write again; commit() reports
  // it.
  caffe2::serialize::PyTorchStreamWriter writer([&](const void* data, size_t size) {
    out.write(data, size);
    return size;
  });
  writer.writeRecord("data.pkl", pickle.data(), pickle.size());
  size_t number = 0;
  for (const at::Tensor& tensor : pickler.tensorData()) {
    const torch::jit::WriteableTensorData data = torch::jit::getWriteableTensorData(tensor);
    writer.writeRecord("data/" + std::to_string(number++), data.data(), data.sizeInBytes());
  }
  writer.writeEndOfFile();
  const std::string failure = out.commit();
  TORCH_CHECK(failure.empty(), "ivon: ", failure);
}

}  // namespace detail
IVON_NAMESPACE_END
