// SPDX-License-Identifier: Apache-2.0
// A network together with what it needs to know about its inputs, and the folder that keeps both.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/compiled_ivon.hpp"
#include "common/data/image_transform.hpp"
#include "common/models/image_model.hpp"
#include "common/settings.hpp"

namespace image_classification {

// The channels' mean and standard deviation over ImageNet, of grey levels 0..1, with which
// torchvision's networks have been trained.
inline const std::vector<double> kImageNetMean = {0.485, 0.456, 0.406};
inline const std::vector<double> kImageNetDeviation = {0.229, 0.224, 0.225};

// What network.json says of a trained network.
struct Description {
  std::string model;               // a name of image_models()
  int64_t side = 32;               // of the images, in pixels
  bool files = false;              // trained on image files, which have sizes of their own
  std::string test_crop = "auto";  // as of --test-crop
  std::vector<std::string> classes;
  std::vector<double> mean, deviation;  // of each channel, of grey levels 0..1

  int64_t channels() const { return static_cast<int64_t>(mean.size()); }

  // The crop with which the network is tested and used.
  examples::Crop crop() const;
};

// Makes batches of images the inputs of a network.
struct Standardisation {
  torch::Tensor mean, deviation;  // float32 [1, channels, 1, 1] on the device, of levels 0..255
  bool channels_last = true;      // the memory order of the inputs

  Standardisation() = default;
  Standardisation(const std::vector<double>& mean_of_channels,
                  const std::vector<double>& deviation_of_channels, const torch::Device& device,
                  bool channels_last_order);

  // images: uint8 [n, channels, side, side] on the CPU -> float32 on the device
  torch::Tensor operator()(const torch::Tensor& images) const;
};

struct Network {
  Description about;
  std::shared_ptr<examples::ImageModel> model;
  torch::Device device = torch::kCPU;
  bool bf16 = false;
  Standardisation standardise;

  // images: uint8 [n, channels, side, side] on the CPU -> float32 on the device, standardised and
  // in the memory order of the network
  torch::Tensor inputs(const torch::Tensor& images) const { return standardise(images); }

  // inputs [n, channels, side, side] -> logits [n, classes], float32
  torch::Tensor logits(const torch::Tensor& inputs) const;
};

// Sets mean and standard deviation of the channels of `data`: those of ImageNet for image files, so
// that networks trained elsewhere fit, and otherwise those of up to 1000 of the images, cropped as
// for tests. The other members but the classes must have been set.
void set_moments(Description& about, const examples::ImageData& data);

// A network with initial weights that follow from the seed.
Network make_network(const Description& about, int64_t seed, const torch::Device& device, bool bf16,
                     bool channels_last);

// Whether the network normalises by batches.
bool has_batch_norm(const torch::nn::Module& model);

// A folder with network.json, weights.pt (the state_dict of Python) and, of IVON, posterior.pt.
void save_network(const std::filesystem::path& folder, const Network& network,
                  const std::optional<ivon::Posterior>& posterior);

struct Loaded {
  Network network;
  std::optional<ivon::Posterior> posterior;
};

// Throws std::runtime_error naming the file that is missing or damaged.
Loaded load_network(const std::filesystem::path& folder, const torch::Device& device, bool bf16);

}  // namespace image_classification
