// SPDX-License-Identifier: Apache-2.0
// The C++ side of tests/python/image_models.py, which runs each of these tests in a process of its
// own and compares models and training steps with torchvision. The files lie in the folder
// IVON_EXCHANGE_FOLDER.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <ivon/ivon.hpp>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/models/image_models.hpp"
#include "common/models/state_dict.hpp"

namespace {

using torch::Tensor;

std::filesystem::path models_folder() {
  const char* folder = std::getenv("IVON_EXCHANGE_FOLDER");
  return folder != nullptr ? folder : ".";
}

// What Python has written by torch.save(): a dictionary from names to tensors.
Tensor exchanged_tensor(const std::string& file, const char* name) {
  std::ifstream in(models_folder() / file, std::ios::binary);
  const std::vector<char> bytes(std::istreambuf_iterator<char>(in), {});
  return torch::pickle_load(bytes).toGenericDict().at(name).toTensor();
}

struct TrainedResNet18 {
  TrainedResNet18() : model(examples::make_image_model("resnet18", 3, 10, 64)) {
    examples::load_state_dict(*model, models_folder() / "start.pt");
    model->to(torch::kDouble);
  }

  void backward() {
    torch::cross_entropy_loss(model->forward(exchanged_tensor("batch.pt", "images")),
                              exchanged_tensor("batch.pt", "labels"))
        .backward();
  }

  // Writes one tensor for each parameter under the parameters' names. They replace the parameters.
  void write(const std::vector<Tensor>& values, const char* file) {
    const torch::NoGradGuard no_grad;
    std::vector<Tensor> parameters = model->parameters();
    for (size_t i = 0; i < parameters.size(); ++i) parameters[i].copy_(values[i]);
    examples::save_state_dict(*model, models_folder() / file);
  }

  std::shared_ptr<examples::ImageModel> model;
};

TEST(ImageModelsExchange, DISABLED_ComputesTheLogitsOfTorchvision) {
  for (const char* name :
       {"resnet18", "resnet34", "resnet50", "resnet101", "resnet18_small", "vit_b_16"}) {
    const std::string file = std::string(name) + "_io.pt";
    const Tensor images = exchanged_tensor(file, "images");
    const Tensor expected = exchanged_tensor(file, "logits");
    const auto model =
        examples::make_image_model(name, images.size(1), expected.size(1), images.size(2));
    examples::load_state_dict(*model, models_folder() / (std::string(name) + ".pt"));
    model->eval();
    const torch::NoGradGuard no_grad;
    const double error =
        ((model->forward(images) - expected).abs().max() / expected.abs().max()).item<double>();
    EXPECT_LT(error, 1e-4) << name;
    std::cout << name << ": logits differ by " << error << '\n';
    examples::save_state_dict(*model, models_folder() / (std::string(name) + "_back.pt"));
  }
}

TEST(ImageModelsExchange, DISABLED_TrainsWithAdamW) {
  TrainedResNet18 trained;
  torch::optim::AdamW optimizer(trained.model->parameters(), torch::optim::AdamWOptions(1e-3));
  trained.backward();
  optimizer.step();
  examples::save_state_dict(*trained.model, models_folder() / "adamw.pt");
}

TEST(ImageModelsExchange, DISABLED_TrainsWithIvon) {
  TrainedResNet18 trained;
  ivon::IVON optimizer(trained.model->parameters(), ivon::IVONOptions(/*lr=*/0.1).ess(1000));
  std::vector<Tensor> noise, hess, momentum;
  {
    const auto sample = optimizer.sampled_params();
    for (const Tensor& p : trained.model->parameters()) {
      noise.push_back(p.detach() - optimizer.mean(p));
    }
    trained.backward();
  }
  optimizer.step();
  for (const Tensor& p : trained.model->parameters()) {
    hess.push_back(optimizer.param_state(p).hess());
    momentum.push_back(optimizer.param_state(p).momentum());
  }
  examples::save_state_dict(*trained.model, models_folder() / "ivon.pt");
  trained.write(noise, "noise.pt");
  trained.write(hess, "hess.pt");
  trained.write(momentum, "momentum.pt");
}

TEST(ImageModelsExchange, DISABLED_ReadsOtherDictionaries) {
  torch::nn::Sequential linear(torch::nn::Linear(2, 3));
  for (const char* file : {"plain.pt", "ordered.pt", "tied.pt"}) {
    examples::load_state_dict(*linear, models_folder() / file);
    EXPECT_EQ(linear->parameters()[0].sum().item<float>(), 15) << file;
  }
  for (const char* file : {"model.pt", "checkpoint.pt", "list.pt"}) {
    EXPECT_THROW(examples::load_state_dict(*linear, models_folder() / file), std::runtime_error)
        << file;
  }
}

TEST(ImageModelsExchange, DISABLED_ReadsAnyNumberOfTensors) {
  for (int64_t count = 1; count <= 70; ++count) {
    torch::nn::Module module;
    for (int64_t i = 0; i < count; ++i) {
      module.register_parameter("p" + std::to_string(i), torch::zeros(1));
    }
    examples::load_state_dict(module, models_folder() / ("many_" + std::to_string(count) + ".pt"));
    EXPECT_EQ(module.parameters().back().item<int64_t>(), count);
  }
}

}  // namespace
