// SPDX-License-Identifier: Apache-2.0
// The settings of all commands.
#pragma once

#include <cstdint>
#include <string>

#include "common/optimizers.hpp"
#include "common/program.hpp"
#include "common/settings.hpp"

namespace image_classification {

struct DataSettings {
  std::string folder = "/usr/share/datasets/fashion-mnist";
  int64_t train_limit = 0, test_limit = 0;  // images; 0: all
  std::string outside;  // folder of images of no class, for the AUROC; empty: none
  std::string cache;    // folder of packed images; empty: none
  bool strict = false;
  int workers = 0;  // threads that read images; 0: one for each core, 8 at most
};

// What is done to the training images.
struct AugmentationSettings {
  std::string crop = "auto";  // auto, centred, whole, shifted, padded, resized
  bool flip = true;
  bool flip_vertical = false;
  int64_t rand_augment = 0;      // magnitude 1..30; 0: off
  double mixup = 0, cutmix = 0;  // alpha of the Beta distribution; 0: off
};

struct TrainingSettings {
  std::string model = "resnet20";
  int64_t side = 0;                // of the images; 0: the model's usual
  std::string test_crop = "auto";  // auto, centre, whole; kept with the network
  int64_t epochs = 8;
  int64_t batch = 50;
  int64_t micro_batch = 0;  // images of a forward pass; 0: the batch
  double warmup = 0.05;     // share of the steps with a rising learning rate, then cosine to 0
  double label_smoothing = 0;
  double gradient_clip = 0;  // bound on the norm of the gradient; 0: none
  double average = 0;        // decay of averaged weights, for optimizers but IVON; 0: none
  int64_t mc_samples = 1;    // IVON: samples of the weights in a step
  bool channels_last = true;
  double checkpoint_seconds = 60;
};

// The usual settings of an optimizer in this program: those of examples::optimizer_settings(), but
// the noise of "ivon" is at most 0.01. The README shows why: the weights of deep networks are
// small, and a noise as large as they are costs accuracy.
examples::OptimizerSettings usual_optimizer(const std::string& name);

struct Settings {
  examples::CommonSettings common;
  DataSettings data;
  AugmentationSettings augmentation;
  TrainingSettings training;
  examples::OptimizerSettings optimizer = usual_optimizer("ivon");
  int64_t measured = 1000;  // test images scored after each epoch; 0: none

  // evaluate, predict, triage
  std::string trained;  // folder that train has written
  int64_t top = 48;     // triage: images on the sheet

  // compare
  std::string optimizers = "ivon,adamw,sgd,lion,novograd";
  int64_t search_epochs = 3;
  double noise_max = 0;       // of IVON's weights in samples; 0: the usual bound
  int64_t search_images = 0;  // held out of the training images to compare learning rates

  Settings();
};

// The side of the network's inputs in pixels: as set, or the model's usual.
int64_t image_side(const TrainingSettings& s);

// Declare the settings of a command.
void add_training_settings(examples::Settings& list, Settings& s);
void add_evaluation_settings(examples::Settings& list, Settings& s);
void add_prediction_settings(examples::Settings& list, Settings& s);
void add_triage_settings(examples::Settings& list, Settings& s);
void add_comparison_settings(examples::Settings& list, Settings& s);

// Makes a run short, for --smoke.
void make_short(Settings& s);

}  // namespace image_classification
