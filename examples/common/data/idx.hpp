// SPDX-License-Identifier: Apache-2.0
// IDX files, the format of MNIST and its relatives, plain or gzip-compressed.
//
// Layout (http://yann.lecun.com/exdb/mnist): two zero bytes, one byte for the element type (8 =
// unsigned byte, the only one read here), one byte for the number of dimensions, one big-endian
// 32-bit size per dimension, then the elements, last dimension fastest.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <string>

namespace examples {

// The file `name` or `name`.gz in `folder`, the first that exists.
// Throws std::runtime_error naming the folder and both names if there is neither.
std::filesystem::path find_idx(const std::filesystem::path& folder, const std::string& name);

// The elements of an IDX file with `dims` dimensions as a uint8 tensor of the file's shape.
// Throws std::runtime_error naming the file when it cannot be read, is not such an IDX file, or
// holds fewer or more bytes than its header announces.
at::Tensor read_idx(const std::filesystem::path& file, int dims);

}  // namespace examples
