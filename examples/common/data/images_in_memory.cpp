// SPDX-License-Identifier: Apache-2.0
#include "common/data/images_in_memory.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/torch.h>

#include <cctype>
#include <stdexcept>
#include <utility>

#include "common/data/cifar.hpp"
#include "common/data/idx.hpp"
#include "common/data/resize.hpp"

namespace examples {
namespace {

const std::vector<std::string> kClothes = {"T-shirt/top", "Trouser",   "Pullover", "Dress",
                                           "Coat",        "Sandal",    "Shirt",    "Sneaker",
                                           "Bag",         "Ankle boot"};
const std::vector<std::string> kDigits = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};

// Only the last two names of the path count: "/data/FashionMNIST/raw", but not the name of a
// project that all data of a user lie in.
bool is_of_fashion(const std::filesystem::path& folder) {
  std::filesystem::path path = std::filesystem::absolute(folder / "").lexically_normal();
  path = path.parent_path();  // without the slash at the end
  std::string names = (path.parent_path().filename() / path.filename()).string();
  for (char& c : names) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return names.find("fashion") != std::string::npos;
}

}  // namespace

ImagesInMemory::ImagesInMemory(torch::Tensor pixels, const torch::Tensor& labels,
                               std::vector<std::string> names, std::string title)
    : pixels_(pixels.contiguous()), title_(std::move(title)) {
  if (pixels_.scalar_type() != torch::kByte || pixels_.dim() != 4 ||
      (pixels_.size(3) != 1 && pixels_.size(3) != 3)) {
    throw std::invalid_argument(
        fmt::format("the pixels of {} must be uint8 [n, height, width, 1 or 3], got {} {}", title_,
                    c10::toString(pixels_.scalar_type()), fmt::join(pixels_.sizes(), " x ")));
  }
  if (labels.dim() != 1 || labels.size(0) != pixels_.size(0)) {
    throw std::invalid_argument(fmt::format("{} must have as many labels as images, got {} and {}",
                                            title_, labels.numel(), pixels_.size(0)));
  }
  const torch::Tensor wide = labels.to(torch::kLong).contiguous();
  targets.assign(wide.data_ptr<int64_t>(), wide.data_ptr<int64_t>() + wide.numel());
  classes = std::move(names);
  for (const int64_t target : targets) {
    if (target < 0 || target >= static_cast<int64_t>(classes.size())) {
      throw std::invalid_argument(fmt::format("the labels of {} must be 0 to {}, got {}", title_,
                                              classes.size() - 1, target));
    }
  }
}

std::string ImagesInMemory::name(int64_t index) const {
  return fmt::format("{} image {}", title_, index);
}

torch::Tensor ImagesInMemory::read(int64_t index, const ChooseBox& choose, int64_t side) const {
  const torch::Tensor image = pixels_[index];
  const Box box = choose(image.size(0), image.size(1));
  return resized(image, real_box(box), side, side);
}

std::unique_ptr<ImagesInMemory> load_mnist(const std::filesystem::path& folder, bool train) {
  const std::string prefix = train ? "train" : "t10k";
  const std::filesystem::path images = find_idx(folder, prefix + "-images-idx3-ubyte");
  const torch::Tensor pixels = read_idx(images, 3).unsqueeze(3);
  const torch::Tensor labels = read_idx(find_idx(folder, prefix + "-labels-idx1-ubyte"), 1);
  return std::make_unique<ImagesInMemory>(
      pixels, labels, is_of_fashion(folder) ? kClothes : kDigits, images.string());
}

std::unique_ptr<ImagesInMemory> load_cifar_images(const std::filesystem::path& folder, bool train) {
  CifarData data = load_cifar(folder, train);
  return std::make_unique<ImagesInMemory>(
      data.pixels, data.targets, std::move(data.classes),
      fmt::format("{} {}", folder.string(), train ? "training" : "test"));
}

}  // namespace examples
