// SPDX-License-Identifier: Apache-2.0
#include "network.hpp"

#include <fmt/format.h>
#include <torch/torch.h>

#include <fstream>
#include <stdexcept>

#include "common/atomic_file.hpp"
#include "common/autocast.hpp"
#include "common/models/image_models.hpp"
#include "common/models/state_dict.hpp"
#include "data.hpp"

namespace image_classification {
namespace {

constexpr int64_t kImagesForMoments = 1000;

// The values times 255: float32 [1, channels, 1, 1]
torch::Tensor per_channel(const std::vector<double>& values, const torch::Device& device) {
  return 255 * torch::tensor(values, torch::kFloat).view({1, -1, 1, 1}).to(device);
}

examples::Json to_json(const Description& about) {
  return {{"model", about.model},         {"side", about.side},       {"files", about.files},
          {"test_crop", about.test_crop}, {"classes", about.classes}, {"mean", about.mean},
          {"deviation", about.deviation}};
}

Description description_from(const std::filesystem::path& file) {
  std::ifstream in(file);
  if (!in) {
    throw std::runtime_error(
        fmt::format("{}: cannot be opened; name with --trained a folder that train has written",
                    file.string()));
  }
  try {
    const auto json = examples::Json::parse(in);
    Description about;
    json.at("model").get_to(about.model);
    json.at("side").get_to(about.side);
    json.at("files").get_to(about.files);
    about.test_crop = json.value("test_crop", about.test_crop);
    json.at("classes").get_to(about.classes);
    json.at("mean").get_to(about.mean);
    json.at("deviation").get_to(about.deviation);
    return about;
  } catch (const nlohmann::json::exception& error) {
    throw std::runtime_error(
        fmt::format("{}: is damaged or not of this program ({})", file.string(), error.what()));
  }
}

}  // namespace

examples::Crop Description::crop() const {
  return image_classification::test_crop(test_crop, files);
}

Standardisation::Standardisation(const std::vector<double>& mean_of_channels,
                                 const std::vector<double>& deviation_of_channels,
                                 const torch::Device& device, bool channels_last_order)
    : mean(per_channel(mean_of_channels, device)),
      deviation(per_channel(deviation_of_channels, device)),
      channels_last(channels_last_order) {}

torch::Tensor Standardisation::operator()(const torch::Tensor& images) const {
  // Convolutions follow the order of their inputs, and the loader's images are channels-last.
  const auto order =
      channels_last ? torch::MemoryFormat::ChannelsLast : torch::MemoryFormat::Contiguous;
  const torch::Tensor levels =
      images.contiguous(order).to(mean.device(), torch::kFloat, /*non_blocking=*/true);
  return (levels - mean) / deviation;
}

torch::Tensor Network::logits(const torch::Tensor& inputs) const {
  const examples::Autocast autocast(device.type(), bf16);
  return model->forward(inputs).to(torch::kFloat);
}

void set_moments(Description& about, const examples::ImageData& data) {
  if (about.files && data.channels() == 3) {
    about.mean = kImageNetMean;
    about.deviation = kImageNetDeviation;
    return;
  }
  const int64_t count = std::min(data.size(), kImagesForMoments);
  torch::Tensor images =
      torch::empty({count, about.side, about.side, data.channels()}, torch::kByte);
  examples::ImageTransform transform;
  transform.side = about.side;
  transform.crop = about.crop();
  for (int64_t i = 0; i < count; ++i) {
    transform.apply(data, i * data.size() / count, 0, images[i].data_ptr<uint8_t>());
  }
  const torch::Tensor levels = images.to(torch::kDouble).div_(255).flatten(0, 2);
  const torch::Tensor mean = levels.mean(0), deviation = levels.std(0).clamp_min(1e-3);
  for (int64_t c = 0; c < data.channels(); ++c) {
    about.mean.push_back(mean[c].item<double>());
    about.deviation.push_back(deviation[c].item<double>());
  }
}

Network make_network(const Description& about, int64_t seed, const torch::Device& device, bool bf16,
                     bool channels_last) {
  torch::manual_seed(static_cast<uint64_t>(seed));
  Network network;
  network.about = about;
  network.device = device;
  network.bf16 = bf16;
  network.standardise = Standardisation(about.mean, about.deviation, device, channels_last);
  network.model = examples::make_image_model(
      about.model, about.channels(), static_cast<int64_t>(about.classes.size()), about.side);
  network.model->to(device);
  if (channels_last) examples::to_channels_last(*network.model);
  return network;
}

bool has_batch_norm(const torch::nn::Module& model) {
  for (const auto& module : model.modules()) {
    if (module->as<torch::nn::BatchNorm2d>() != nullptr) return true;
  }
  return false;
}

void save_network(const std::filesystem::path& folder, const Network& network,
                  const std::optional<ivon::Posterior>& posterior) {
  std::filesystem::create_directories(folder);
  examples::write_atomically(folder / "network.json", to_json(network.about).dump(2) + "\n");
  examples::save_state_dict(*network.model, folder / "weights.pt");
  if (posterior) posterior->save((folder / "posterior.pt").string());
}

Loaded load_network(const std::filesystem::path& folder, const torch::Device& device, bool bf16) {
  if (folder.empty()) {
    throw std::invalid_argument(
        "--trained must name a folder that train has written, but is not "
        "given; train prints the folder that it saves a network in");
  }
  Loaded loaded;
  loaded.network = make_network(description_from(folder / "network.json"), 1, device, bf16, true);
  examples::load_state_dict(*loaded.network.model, folder / "weights.pt");
  loaded.network.model->eval();
  const std::filesystem::path posterior = folder / "posterior.pt";
  if (std::filesystem::exists(posterior)) {
    loaded.posterior = ivon::Posterior::load(posterior.string()).to(device);
  }
  return loaded;
}

}  // namespace image_classification
