// SPDX-License-Identifier: Apache-2.0
// What the folders of models share: settings as JSON beside a file of tensors, the check that these
// are the tensors of the model, and writing both.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/models/safetensors.hpp"

namespace examples {

// The object in a file of JSON. Its functions throw std::runtime_error naming the file and the
// entry that is wrong.
class JsonFile {
 public:
  // Throws std::runtime_error naming the file if it cannot be read, has more than 1 MB or holds no
  // JSON object.
  explicit JsonFile(const std::filesystem::path& file);

  // A whole number of 1 to 2^31 - 1.
  int64_t size(const std::string& name) const;

  // The entry, or null if there is none.
  const nlohmann::json& value(const std::string& name) const;

  // Throws unless the entry is `expected`, null or missing.
  void check(const std::string& name, const nlohmann::json& expected) const;

  // Throws "FILE: NAME is VALUE, but RULE", with the value as json_text() gives it.
  [[noreturn]] void fail(const std::string& name, const std::string& rule) const;

 private:
  std::filesystem::path file_;
  nlohmann::json object_;
};

using TensorShapes = std::map<std::string, std::vector<int64_t>>;

// Throws std::runtime_error that names the file and up to five each of the tensors that `expected`
// has and the file lacks, that only the file has, and whose shapes differ, unless there are none;
// and for the first one whose type is not float32, float16 or bfloat16. Those in `ignored` may be
// there or not.
void check_tensors(const Safetensors& tensors, const std::filesystem::path& file,
                   const TensorShapes& expected, const std::vector<std::string>& ignored);

// Writes tensors and the settings beside them. Both lie on disk before either gets its name, so
// that new tensors never stand beside old settings because the disk is full: if one cannot be
// written, both files are as before. The settings wait as SETTINGS.new until the tensors have their
// name; only if the machine fails just then, or a folder has the settings' name, do they stay
// there. Makes the folder if there is none. Throws std::runtime_error naming the file that cannot
// be written.
void save_model_files(const std::filesystem::path& tensors_file,
                      const std::map<std::string, torch::Tensor>& tensors,
                      const std::filesystem::path& settings_file,
                      const nlohmann::ordered_json& settings);

}  // namespace examples
