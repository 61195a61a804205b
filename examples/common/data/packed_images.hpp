// SPDX-License-Identifier: Apache-2.0
// Decoded images of a folder in one file, so that later epochs and programs need not decode them.
// Only the examples that read images need it: ${image_sources} of common/sources.cmake.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/data/image_data.hpp"
#include "common/data/image_folder.hpp"
#include "common/data/packed_format.hpp"

namespace examples {

// The images of a folder as they lie in a file that `packed` made. The file is mapped into memory,
// read only, so that the system keeps in memory what fits and several programs share it.
class PackedImages : public ImageData {
 public:
  // Opens a file of packed images with that content (packed_content of the folder). Throws
  // StalePackedImages if the file has been made for other images or is damaged, and
  // std::runtime_error naming the file if it cannot be read or is no file of packed images.
  PackedImages(std::shared_ptr<const ImageFolder> data, const std::filesystem::path& file,
               const Json& content);

  int64_t channels() const override { return 3; }
  std::string name(int64_t index) const override { return data_->name(index); }

  // `choose` gets the stored size. Throws the message of ImageFolder for an image that could not be
  // read when the file was made.
  torch::Tensor read(int64_t index, const ChooseBox& choose, int64_t side) const override;

  int64_t bytes() const { return static_cast<int64_t>(bytes_); }  // of the file
  int64_t unreadable() const { return static_cast<int64_t>(errors_.size()); }

 private:
  // Each of the three throws StalePackedImages with the reason only.
  PackedHead checked_head() const;
  void read_description(const PackedHead& head, const Json& content);
  void read_index(const PackedHead& head);

  std::shared_ptr<const ImageFolder> data_;
  std::shared_ptr<const uint8_t> map_;  // [bytes_], the whole file; unmapped by the last owner
  uint64_t bytes_ = 0;
  std::vector<PackedEntry> entries_;       // of each image
  std::map<int64_t, std::string> errors_;  // what the message says after the image's name
};

// The images of `data`, with shorter sides of at most `shorter_side` pixels, from `cache_file`.
// The file is used if it has been made for the same names, sizes and times of files, the same
// classes and the same shorter_side; otherwise it is made again by `threads` threads, and stdout
// says why. An image is stored whole, its sides reduced in proportion if the shorter one has more
// than `shorter_side` pixels. An image that cannot be read stays so until a file of the folder
// changes. Throws std::runtime_error naming the file if there is too little space, if it cannot be
// written, or if `cache_file` is another program's file, which is never overwritten;
// std::invalid_argument unless shorter_side and threads are at least 1.
std::shared_ptr<const ImageData> packed(std::shared_ptr<const ImageFolder> data,
                                        const std::filesystem::path& cache_file,
                                        int64_t shorter_side, int threads);

}  // namespace examples
