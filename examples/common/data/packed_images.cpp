// SPDX-License-Identifier: Apache-2.0
#include "common/data/packed_images.hpp"

#include <ATen/ops/from_blob.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <tuple>
#include <utility>

#include "common/data/file_error.hpp"
#include "common/data/image_limits.hpp"
#include "common/data/packed_writer.hpp"
#include "common/data/resize.hpp"

namespace examples {
namespace {

struct Descriptor {
  explicit Descriptor(int descriptor) : number(descriptor) {}
  ~Descriptor() {
    if (number >= 0) close(number);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  const int number;
};

// The bytes of a file of packed images, and their number.
std::pair<std::shared_ptr<const uint8_t>, uint64_t> mapped(const std::filesystem::path& file) {
  const Descriptor opened(open(file.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status = {};
  if (opened.number < 0 || fstat(opened.number, &status) != 0) {
    fail_file(file, fmt::format("cannot be opened: {}; check that it is a readable file",
                                std::generic_category().message(errno)));
  }
  std::array<char, kPackedMagic.size()> magic = {};
  if (!S_ISREG(status.st_mode) ||
      pread(opened.number, magic.data(), magic.size(), 0) != static_cast<ssize_t>(magic.size()) ||
      magic != kPackedMagic) {
    fail_file(file,
              "is no file of packed images and is not overwritten; remove it, or give "
              "another name");
  }
  const auto bytes = static_cast<size_t>(status.st_size);
  void* map = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, opened.number, 0);
  if (map == MAP_FAILED) {
    fail_file(file, fmt::format("cannot be mapped into memory: {}; go on without packed images",
                                std::generic_category().message(errno)));
  }
  const auto unmap = [bytes](const uint8_t* begin) { munmap(const_cast<uint8_t*>(begin), bytes); };
  return {std::shared_ptr<const uint8_t>(static_cast<const uint8_t*>(map), unmap), bytes};
}

// Asks the system to read these bytes in one go, instead of a few pages each time that one is
// missing.
void read_soon(const uint8_t* begin, int64_t bytes) {
  static const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto before = reinterpret_cast<uintptr_t>(begin) % page;
  madvise(const_cast<uint8_t*>(begin - before), static_cast<size_t>(bytes) + before, MADV_WILLNEED);
}

bool lies_in(const Box& box, int64_t height, int64_t width) {
  return box.top >= 0 && box.left >= 0 && box.height >= 1 && box.width >= 1 &&
         box.top + box.height <= height && box.left + box.width <= width;
}

}  // namespace

PackedImages::PackedImages(std::shared_ptr<const ImageFolder> data,
                           const std::filesystem::path& file, const Json& content)
    : data_(std::move(data)) {
  classes = data_->classes;
  targets = data_->targets;
  std::tie(map_, bytes_) = mapped(file);
  try {
    const PackedHead head = checked_head();
    read_description(head, content);
    read_index(head);
  } catch (const StalePackedImages& reason) {
    throw StalePackedImages(fmt::format("{}: {}", file.string(), reason.what()));
  }
}

PackedHead PackedImages::checked_head() const {
  PackedHead head;
  if (bytes_ < sizeof head) throw StalePackedImages("it is not whole");
  std::memcpy(&head, map_.get(), sizeof head);
  if (head.version != kPackedVersion) {
    throw StalePackedImages(fmt::format("it has format {}, not {}", head.version, kPackedVersion));
  }
  if (head.file_bytes != bytes_) {
    throw StalePackedImages(
        fmt::format("it has {} bytes and should have {}", bytes_, head.file_bytes));
  }
  // Written so that no sum of damaged numbers can overflow.
  const bool is_within = head.description >= sizeof head && head.description <= bytes_ &&
                         head.description_bytes <= bytes_ - head.description;
  const uint64_t rest = is_within ? bytes_ - head.description : 0;
  const uint64_t index = rest - (is_within ? head.description_bytes : 0);
  if (!is_within || index % sizeof(PackedEntry) != 0 ||
      index / sizeof(PackedEntry) != head.images ||
      packed_checksum(head, map_.get() + head.description, rest) != head.checksum) {
    throw StalePackedImages("its index is damaged");
  }
  return head;
}

void PackedImages::read_description(const PackedHead& head, const Json& content) {
  const uint8_t* begin = map_.get() + head.description;
  try {
    const Json description = Json::parse(begin, begin + head.description_bytes);
    const std::string difference = content_difference(description.at("content"), content);
    if (!difference.empty()) throw StalePackedImages(difference);
    for (const auto& [index, error] : description.at("unreadable").items()) {
      errors_.emplace(std::stoll(index), error.get<std::string>());
    }
  } catch (const Json::exception&) {
    throw StalePackedImages("its description is damaged");
  } catch (const std::logic_error&) {  // of std::stoll
    throw StalePackedImages("its description is damaged");
  }
}

void PackedImages::read_index(const PackedHead& head) {
  entries_.resize(head.images);
  std::memcpy(entries_.data(), map_.get() + head.description + head.description_bytes,
              entries_.size() * sizeof(PackedEntry));
  bool good = entries_.size() == targets.size();
  for (size_t i = 0; good && i < entries_.size(); ++i) {
    const PackedEntry& entry = entries_[i];
    const bool is_image = errors_.count(static_cast<int64_t>(i)) == 0;
    good = is_image == (entry.height > 0 && entry.width > 0) && entry.height <= kMaxImageSide &&
           entry.width <= kMaxImageSide && entry.offset >= sizeof(PackedHead) &&
           entry.offset <= head.description && entry.bytes() <= head.description - entry.offset &&
           entry.target == static_cast<uint64_t>(targets[i]);
  }
  if (!good) throw StalePackedImages("its index does not fit the folder");
}

torch::Tensor PackedImages::read(int64_t index, const ChooseBox& choose, int64_t side) const {
  const PackedEntry& entry = entries_[static_cast<size_t>(index)];
  if (entry.height == 0) {
    throw std::runtime_error(fmt::format("{}: {}", name(index), errors_.at(index)));
  }
  const int64_t height = entry.height, width = entry.width;
  const Box box = choose(height, width);
  // The tensor only reads through the pointer.
  auto* begin = const_cast<uint8_t*>(map_.get() + entry.offset);
  const torch::Tensor image = at::from_blob(begin, {height, width, 3}, torch::kByte);
  // A box that reaches beyond the image is copied by resized().
  if (!lies_in(box, height, width)) return resized(image, real_box(box), side, side);
  read_soon(begin + box.top * width * 3, box.height * width * 3);
  const torch::Tensor part = image.narrow(0, box.top, box.height).narrow(1, box.left, box.width);
  return resized(part, real_box({0, 0, box.height, box.width}), side, side);
}

std::shared_ptr<const ImageData> packed(std::shared_ptr<const ImageFolder> data,
                                        const std::filesystem::path& cache_file,
                                        int64_t shorter_side, int threads) {
  if (shorter_side < 1 || threads < 1) {
    throw std::invalid_argument(
        fmt::format("the shorter side of packed images and the number of threads must be at least "
                    "1, but are {} and {}",
                    shorter_side, threads));
  }
  const Json content = packed_content(*data, shorter_side, threads);
  std::shared_ptr<const PackedImages> images;
  if (std::filesystem::exists(cache_file)) {
    try {
      images = std::make_shared<PackedImages>(data, cache_file, content);
    } catch (const StalePackedImages& reason) {
      fmt::print("Packed images are made again: {}\n", reason.what());
    }
  }
  if (images == nullptr) {
    write_packed(*data, cache_file, content, threads);
    images = std::make_shared<PackedImages>(data, cache_file, content);
  }
  fmt::print("Packed images: {}, {} images, {:.3g} GB\n", cache_file.string(), images->size(),
             static_cast<double>(images->bytes()) / 1e9);
  if (images->unreadable() > 0) {
    fmt::print("{} of them could not be read when they were packed\n", images->unreadable());
  }
  std::fflush(stdout);
  return images;
}

}  // namespace examples
