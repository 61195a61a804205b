// SPDX-License-Identifier: Apache-2.0
// What makes an image harder to recognise. Each function takes images [n, 1, 28, 28] float32 with
// grey levels 0 to 1 (objects are bright on black ground) on the CPU and returns new ones of the
// same kind. Those with a severity take 1 (slight) to 5 (strong).
#pragma once

#include <ATen/core/Generator.h>
#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace uncertainty {

// Turns the images counter-clockwise around their centres; what comes from outside is black.
torch::Tensor rotated(const torch::Tensor& images, double degrees);

// Adds independent Gaussian noise of standard deviation `sigma` to each pixel and cuts at 0 and 1.
torch::Tensor noisy(const torch::Tensor& images, double sigma, at::Generator& generator);

// Convolves with a Gaussian whose standard deviation is 0.5 to 2.5 pixels.
torch::Tensor blurred(const torch::Tensor& images, int64_t severity);

// Draws the grey levels towards the image's mean: 60 % to 10 % of the contrast remain.
torch::Tensor with_less_contrast(const torch::Tensor& images, int64_t severity);

// Covers a square of 6 to 18 pixels at a random place of each image with black.
torch::Tensor occluded(const torch::Tensor& images, int64_t severity, at::Generator& generator);

// One of the functions above as the program uses it.
struct Corruption {
  std::string name;            // "rotation"
  std::string unit;            // of the levels, as an axis label
  std::vector<double> levels;  // rising
  std::function<torch::Tensor(const torch::Tensor& images, double level, at::Generator& generator)>
      apply;
};

// All of them. A further corruption needs a function and an entry here.
const std::vector<Corruption>& corruptions();

}  // namespace uncertainty
