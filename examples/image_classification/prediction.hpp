// SPDX-License-Identifier: Apache-2.0
// The predictions of a network for the images of a data set.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/compiled_ivon.hpp"
#include "common/data/image_data.hpp"
#include "network.hpp"
#include "settings.hpp"

namespace image_classification {

// The predictions for all readable images of a data set, on the CPU.
struct Predicted {
  int64_t samples = 0;               // of the weights; 0: the mean
  torch::Tensor probs;               // [n, classes]
  torch::Tensor entropy;             // [n], nats
  torch::Tensor mutual_information;  // [n], nats; 0 without samples
  torch::Tensor targets, rows;       // int64 [n]
};

constexpr int64_t kTestBatch = 100;  // images of a forward pass without gradients

// The numbers of samples that are reported: 0, and with a posterior 1, 4, 16, ... up to `most`, and
// `most` itself.
std::vector<int64_t> sample_counts(bool has_posterior, int64_t most);

// Predicts with each of these numbers of samples, which must be in rising order; every image is
// read once. Shows progress under the name `label` where it takes long. Throws std::runtime_error
// if no image can be read.
std::vector<Predicted> predict_all(const Network& network,
                                   std::optional<ivon::Posterior>& posterior,
                                   const examples::ImageData& data, const DataSettings& s,
                                   const std::vector<int64_t>& counts, const std::string& label);

}  // namespace image_classification
