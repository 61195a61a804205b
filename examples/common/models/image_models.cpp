// SPDX-License-Identifier: Apache-2.0
#include "common/models/image_models.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <functional>
#include <stdexcept>

#include "common/models/lenet.hpp"
#include "common/models/resnet.hpp"
#include "common/models/small_resnet.hpp"
#include "common/models/vit.hpp"

namespace examples {
namespace {

struct ImageSizes {
  int64_t channels, classes, side;
};

struct NamedImageModel {
  ImageModelInfo info;
  std::function<std::shared_ptr<ImageModel>(const ImageSizes&)> make;
};

using ImageModelMaker = decltype(NamedImageModel::make);

ImageModelMaker resnet_maker(ResNetOptions options) {
  return [options](const ImageSizes& sizes) mutable {
    options.channels = sizes.channels;
    options.classes = sizes.classes;
    return std::make_shared<ResNet>(options);
  };
}

ImageModelMaker vit_maker(ViTOptions options) {
  return [options](const ImageSizes& sizes) mutable {
    options.channels = sizes.channels;
    options.classes = sizes.classes;
    options.side = sizes.side;
    return std::make_shared<VisionTransformer>(options);
  };
}

ImageModelMaker small_resnet_maker(SmallResNetNorm norm) {
  return [norm](const ImageSizes& sizes) {
    return make_small_resnet({norm, /*blocks=*/3, sizes.channels, sizes.classes});
  };
}

std::shared_ptr<ImageModel> preresnet110(const ImageSizes& sizes) {
  return make_pre_resnet(/*blocks=*/18, sizes.channels, sizes.classes);
}

std::shared_ptr<ImageModel> lenet(const ImageSizes& sizes) {
  return std::make_shared<LeNet>(sizes.channels, sizes.classes, sizes.side);
}

ResNetOptions resnet18_small() {
  ResNetOptions options = resnet18();
  options.stem = ResNetStem::kSmall;
  return options;
}

const std::vector<NamedImageModel>& named_image_models() {
  static const std::vector<NamedImageModel> all = {
      {{"resnet18", "ResNet-18 of torchvision", 224}, resnet_maker(resnet18())},
      {{"resnet34", "ResNet-34 of torchvision", 224}, resnet_maker(resnet34())},
      {{"resnet50", "ResNet-50 of torchvision", 224}, resnet_maker(resnet50())},
      {{"resnet101", "ResNet-101 of torchvision", 224}, resnet_maker(resnet101())},
      {{"resnet18_small", "ResNet-18 with a 3 x 3 stem and without its pooling", 32},
       resnet_maker(resnet18_small())},
      {{"resnet20", "ResNet-20 with 16, 32 and 64 channels", 32},
       small_resnet_maker(SmallResNetNorm::kBatchNorm)},
      {{"resnet20_frn", "ResNet-20 with filter response normalisation, no batch norm", 32},
       small_resnet_maker(SmallResNetNorm::kFilterResponse)},
      {{"preresnet110", "PreResNet-110 with 16, 32 and 64 channels", 32}, preresnet110},
      {{"lenet", "LeNet-5 with ReLU and max pooling", 28}, lenet},
      {{"vit_tiny", "vision transformer, patches of 4 x 4, width 192, 6 layers", 32},
       vit_maker(vit_tiny())},
      {{"vit_b_16", "vision transformer ViT-B/16 of torchvision", 224}, vit_maker(vit_b_16())},
  };
  return all;
}

const NamedImageModel& named_image_model(const std::string& name) {
  for (const NamedImageModel& model : named_image_models()) {
    if (model.info.name == name) return model;
  }
  std::vector<std::string> names;
  for (const ImageModelInfo& info : image_models()) names.push_back(info.name);
  throw std::invalid_argument(
      fmt::format("there is no model '{}'; choose one of {}", name, fmt::join(names, ", ")));
}

}  // namespace

const ImageModelInfo& image_model_info(const std::string& name) {
  return named_image_model(name).info;
}

const std::vector<ImageModelInfo>& image_models() {
  static const std::vector<ImageModelInfo> infos = [] {
    std::vector<ImageModelInfo> result;
    for (const NamedImageModel& model : named_image_models()) result.push_back(model.info);
    return result;
  }();
  return infos;
}

std::shared_ptr<ImageModel> make_image_model(const std::string& name, int64_t channels,
                                             int64_t classes, int64_t side) {
  if (channels < 1 || classes < 1 || side < 1) {
    throw std::invalid_argument(
        fmt::format("make_image_model(): channels, classes and side must be at least 1, but are "
                    "{}, {} and {}; take those of the data set",
                    channels, classes, side));
  }
  return named_image_model(name).make({channels, classes, side});
}

void to_channels_last(torch::nn::Module& module) {
  const torch::NoGradGuard no_grad;
  for (torch::Tensor& parameter : module.parameters()) {
    if (parameter.dim() != 4) continue;
    parameter.set_data(parameter.detach().contiguous(torch::MemoryFormat::ChannelsLast));
  }
}

}  // namespace examples
