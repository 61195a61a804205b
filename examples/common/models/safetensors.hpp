// SPDX-License-Identifier: Apache-2.0
// Files in the format safetensors (https://github.com/huggingface/safetensors): the length of a
// JSON header (8 bytes, little-endian), the header, and the tensors' bytes.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace examples {

class Safetensors {
 public:
  // Maps the file and checks all of its header. Throws std::runtime_error naming the file and what
  // is wrong: a file that is too short, a header beyond the file or above 100 MB, malformed JSON, a
  // name given twice, a type other than I64, F64, F32, I32, BF16, F16, I16, I8, U8 and BOOL, sizes
  // that are negative or overflow, more than 8 dimensions, a string above 1 MB, more than 1000
  // strings of metadata, offsets that lie outside of the data, overlap, leave a gap or do not fit
  // shape and type.
  explicit Safetensors(const std::filesystem::path& file);

  // The tensors of several files as one, for a model whose weights are in several files (shards).
  // No two of the files may have a tensor of the same name. metadata() is that of the first file.
  // Throws std::invalid_argument if there are no files.
  explicit Safetensors(const std::vector<Safetensors>& shards);

  std::vector<std::string> names() const;  // in alphabetical order
  bool has(const std::string& name) const;

  // Without making the tensor. The shape is valid as long as this object. Throw as tensor() does if
  // there is none.
  at::IntArrayRef shape(const std::string& name) const;
  at::ScalarType type(const std::string& name) const;

  // The tensor lies in the mapped file, which lives as long as the tensor does; writing to it ends
  // the program, so copy it first. Where its bytes are not aligned to its type, it is a copy.
  // Throws std::runtime_error naming the file if there is no such tensor, or for a BOOL other than
  // 0 and 1.
  torch::Tensor tensor(const std::string& name) const;

  // The header's strings under "__metadata__".
  const std::map<std::string, std::string>& metadata() const;

 private:
  struct File;
  // The file that has the tensor; the first one if none does, whose error then names it.
  const std::shared_ptr<const File>& file_of(const std::string& name) const;

  std::vector<std::shared_ptr<const File>> files_;  // one at least
};

// Writes a file that appears when all of it is on disk, byte for byte as the Python package writes
// it. Tensors may be on any device and strided. Throws std::invalid_argument for a tensor that is
// undefined, of a type that is not read or of more than 8 dimensions, for the name "__metadata__"
// and for text that is not UTF-8, std::runtime_error naming the file if it cannot be written.
void save_safetensors(const std::filesystem::path& file,
                      const std::map<std::string, torch::Tensor>& tensors,
                      const std::map<std::string, std::string>& metadata = {});

}  // namespace examples
