// SPDX-License-Identifier: Apache-2.0
// The training and test images that the settings name, and how they reach the network.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "common/data/image_data.hpp"
#include "common/data/image_loader.hpp"
#include "settings.hpp"

namespace image_classification {

using ImagesPtr = std::shared_ptr<const examples::ImageData>;

// The two halves of a data set, and whether they are image files (with sizes of their own).
struct DataSets {
  ImagesPtr train, test;
  bool files = false;
  int64_t pixels = 0;  // the larger side of images that all have one size; 0: files
};

// The number of threads that read images.
int workers(const DataSettings& s);

// Opens the folder that the settings name. `side`: of the network's inputs in pixels, which decides
// on the size of the images in --cache. Throws std::runtime_error that tells what to put where,
// also if there are fewer than 2 classes.
DataSets open_data(const DataSettings& s, int64_t side);

// The same for a training. Throws std::invalid_argument as well if the usual crops would put small
// images into wide black frames.
DataSets open_training_data(const Settings& s);

// Images of no class in `folder`, below which every JPEG or PNG file counts, or a data set's test
// images, with that many channels. Null for an empty name.
ImagesPtr open_outside(const std::filesystem::path& folder, int64_t channels);

// The crop of the training images.
examples::Crop training_crop(const AugmentationSettings& s, bool files);

// The crop of the test images. `choice` is auto, centre or whole; auto is the central 7/8 of image
// files, and of other images, which are small, the middle pixels.
examples::Crop test_crop(const std::string& choice, bool files);

// How training images are read.
examples::ImageTransform training_transform(const AugmentationSettings& s, examples::Crop crop,
                                            int64_t side, int64_t seed);

// Batches of all images of `data` in their order.
std::unique_ptr<examples::ImageLoader> test_loader(const examples::ImageData& data,
                                                   examples::Crop crop, int64_t side,
                                                   const DataSettings& s, int64_t batch = 100);

}  // namespace image_classification
