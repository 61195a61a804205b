// SPDX-License-Identifier: Apache-2.0
#include "common/data/cifar.hpp"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <fstream>

#include "common/data/file_error.hpp"

namespace examples {
namespace {

constexpr int64_t kCifarSide = 32;
constexpr int64_t kCifarPixelBytes = 3 * kCifarSide * kCifarSide;
constexpr uintmax_t kCifarMaxBytes = uintmax_t{1} << 31;  // the largest real file has 154 MB

// One of the two data sets.
struct CifarFormat {
  std::string name;
  std::string archive;                   // on the authors' page, without ".tar.gz"
  std::string unpacked;                  // the folder that the archive makes
  std::vector<std::string> train, test;  // files
  std::string names_file;
  int64_t label_bytes;  // the last one counts
  int64_t classes;
};

const CifarFormat& cifar_10() {
  static const CifarFormat format = {"CIFAR-10",
                                     "cifar-10-binary",
                                     "cifar-10-batches-bin",
                                     {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                      "data_batch_4.bin", "data_batch_5.bin"},
                                     {"test_batch.bin"},
                                     "batches.meta.txt",
                                     1,
                                     10};
  return format;
}

const CifarFormat& cifar_100() {
  static const CifarFormat format = {"CIFAR-100",
                                     "cifar-100-binary",
                                     "cifar-100-binary",
                                     {"train.bin"},
                                     {"test.bin"},
                                     "fine_label_names.txt",
                                     2,
                                     100};
  return format;
}

std::string how_to_get_cifar(const CifarFormat& format) {
  return fmt::format("unpack https://www.cs.toronto.edu/~kriz/{}.tar.gz and name its folder {}",
                     format.archive, format.unpacked);
}

bool has_cifar_file(const CifarFormat& format, const std::filesystem::path& folder) {
  const auto exists = [&folder](const std::string& name) {
    return std::filesystem::exists(folder / name);
  };
  return std::any_of(format.train.begin(), format.train.end(), exists) ||
         std::any_of(format.test.begin(), format.test.end(), exists);
}

const CifarFormat& cifar_format_in(const std::filesystem::path& folder) {
  const bool has_10 = has_cifar_file(cifar_10(), folder),
             has_100 = has_cifar_file(cifar_100(), folder);
  if (has_10 && has_100) {
    fail_file(folder,
              "must hold the files of one data set, got those of CIFAR-10 and of "
              "CIFAR-100; put them into a folder each");
  }
  if (!has_10 && !has_100) {
    fail_file(folder, fmt::format("must hold CIFAR's binary files, data_batch_1.bin and so on or "
                                  "train.bin and test.bin, and has none; for CIFAR-10, {}; for "
                                  "CIFAR-100, {}",
                                  how_to_get_cifar(cifar_10()), how_to_get_cifar(cifar_100())));
  }
  return has_10 ? cifar_10() : cifar_100();
}

// The records of one file as uint8 [n, label_bytes + 3072].
at::Tensor read_cifar_records(const std::filesystem::path& file, const CifarFormat& format) {
  if (!std::filesystem::is_regular_file(file)) {
    fail_file(file, fmt::format("is missing; {}", how_to_get_cifar(format)));
  }
  const uintmax_t bytes = std::filesystem::file_size(file);
  const int64_t record = format.label_bytes + kCifarPixelBytes;
  if (bytes == 0 || bytes > kCifarMaxBytes || bytes % static_cast<uintmax_t>(record) != 0) {
    fail_file(file, fmt::format("must hold records of {} bytes ({}), got {} bytes; fetch it again",
                                record, format.name, bytes));
  }
  at::Tensor records = at::empty({static_cast<int64_t>(bytes) / record, record}, at::kByte);
  std::ifstream in(file, std::ios::binary);
  in.read(reinterpret_cast<char*>(records.data_ptr<uint8_t>()),
          static_cast<std::streamsize>(bytes));
  if (!in) fail_file(file, "cannot be read; check that it is readable");
  return records;
}

// The labels of `records` as int64 [n].
at::Tensor cifar_labels(const at::Tensor& records, const std::filesystem::path& file,
                        const CifarFormat& format) {
  at::Tensor labels = records.select(1, format.label_bytes - 1).to(at::kLong);
  const auto largest = labels.max().item<int64_t>();
  if (largest >= format.classes) {
    fail_file(file, fmt::format("labels must be 0 to {} ({}), got {}; is it the right file?",
                                format.classes - 1, format.name, largest));
  }
  return labels;
}

std::vector<std::string> cifar_class_names(const std::filesystem::path& file,
                                           const CifarFormat& format) {
  std::vector<std::string> names;
  if (!std::filesystem::exists(file)) {
    for (int64_t i = 0; i < format.classes; ++i) names.push_back(std::to_string(i));
    return names;
  }
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (!line.empty()) names.push_back(line);
  }
  if (static_cast<int64_t>(names.size()) != format.classes) {
    fail_file(file, fmt::format("must name the {} classes of {}, one a line, got {}; delete it to "
                                "have them numbered",
                                format.classes, format.name, names.size()));
  }
  return names;
}

}  // namespace

CifarData load_cifar(const std::filesystem::path& folder, bool train) {
  const CifarFormat& format = cifar_format_in(folder);
  std::vector<at::Tensor> pixels, targets;
  for (const std::string& name : train ? format.train : format.test) {
    const at::Tensor records = read_cifar_records(folder / name, format);
    targets.push_back(cifar_labels(records, folder / name, format));
    pixels.push_back(records.narrow(1, format.label_bytes, kCifarPixelBytes)
                         .reshape({-1, 3, kCifarSide, kCifarSide})
                         .permute({0, 2, 3, 1})
                         .contiguous());
  }
  return {at::cat(pixels), at::cat(targets), cifar_class_names(folder / format.names_file, format)};
}

}  // namespace examples
