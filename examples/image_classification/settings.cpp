// SPDX-License-Identifier: Apache-2.0
#include "settings.hpp"

#include <limits>
#include <vector>

#include "common/models/image_models.hpp"

namespace image_classification {
namespace {

using examples::Effect;

const CLI::Range kCount(int64_t{0}, int64_t{1'000'000'000});
const CLI::Range kPositive(int64_t{1}, int64_t{1'000'000'000});
constexpr int64_t kMaxTop = 1480;  // 185 rows: PNG files of gnuplot have at most 32767 pixel rows
const CLI::Range kShare(0.0, 1.0);
const CLI::Range kNotNegative(0.0, std::numeric_limits<double>::max());

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const examples::ImageModelInfo& info : examples::image_models()) names.push_back(info.name);
  return names;
}

void add_reading(examples::Settings& list, DataSettings& s) {
  list.add("strict", s.strict, "an image that cannot be read ends the program", Effect::kOther);
  list.add("workers", s.workers, "threads that read images; 0 = one for each core, 8 at most",
           Effect::kOther, CLI::Range(0, 256));
}

void add_trained(examples::Settings& list, Settings& s) {
  list.add("trained", s.trained, "folder that train has written; must be given", Effect::kOther);
}

void add_data(examples::Settings& list, DataSettings& s) {
  list.add("data", s.folder,
           "folder: train/ and test/ (or val/) with a folder of JPEG or PNG files for each class; "
           "or CIFAR's binary files; or MNIST's or Fashion-MNIST's IDX files",
           Effect::kOther);
  list.add("test-limit", s.test_limit, "test on that many images, evenly spread; 0 = all",
           Effect::kOther, kCount);
  list.add("outside", s.outside, "folder of images of no class: how well doubt tells them apart",
           Effect::kOther);
  add_reading(list, s);
}

void add_augmentation(examples::Settings& list, AugmentationSettings& s) {
  list.add("crop", s.crop,
           "of training images: centred, whole (image, resized), shifted (all but up to 1/8 of "
           "each axis, resized), padded (4 pixels), resized (8 % to 100 % of the area); auto = "
           "resized for folders and padded for others",
           Effect::kTraining,
           CLI::IsMember({"auto", "centred", "whole", "shifted", "padded", "resized"}));
  list.add("flip", s.flip, "exchange left and right of half of the training images",
           Effect::kTraining);
  list.add("flip-vertical", s.flip_vertical,
           "exchange top and bottom of half of the training images", Effect::kTraining);
  list.add("rand-augment", s.rand_augment, "magnitude of RandAugment, 1 to 30; 0 = off",
           Effect::kTraining, CLI::Range(int64_t{0}, int64_t{30}));
  list.add("mixup", s.mixup, "alpha of mixup; 0 = off", Effect::kTraining, kNotNegative);
  list.add("cutmix", s.cutmix, "alpha of CutMix; 0 = off", Effect::kTraining, kNotNegative);
}

void add_network(examples::Settings& list, TrainingSettings& s) {
  list.add("model", s.model, "network; --list-models lists them", Effect::kTraining,
           CLI::IsMember(model_names()));
  list.add("side", s.side, "side of the images in pixels; 0 = the model's usual", Effect::kTraining,
           kCount);
  list.add("test-crop", s.test_crop,
           "of test images, kept with the network: centre (7/8 of the shorter side), whole (image, "
           "resized); auto = centre for folders and the middle pixels for others",
           Effect::kTraining, CLI::IsMember({"auto", "centre", "whole"}));
  list.add("channels-last", s.channels_last, "memory order, faster for convolutions",
           Effect::kTraining);
}

void add_training(examples::Settings& list, TrainingSettings& s) {
  list.add("epochs", s.epochs, "passes over the training images", Effect::kTraining, kPositive);
  list.add("batch", s.batch, "images of a step", Effect::kTraining, kPositive);
  list.add("micro-batch", s.micro_batch,
           "images of a forward pass, whose gradients are added up; 0 = the batch",
           Effect::kTraining, kCount);
  list.add("warmup", s.warmup, "share of the steps with rising learning rate, before the cosine",
           Effect::kTraining, kShare);
  list.add("label-smoothing", s.label_smoothing, "share of each label spread over all classes",
           Effect::kTraining, CLI::Range(0.0, 0.999));
  list.add("gradient-clip", s.gradient_clip, "bound on the gradient's norm; 0 = none",
           Effect::kTraining, kNotNegative);
  list.add("average", s.average,
           "decay of averaged weights that are tested instead, for optimizers but IVON; 0 = none",
           Effect::kTraining, CLI::Range(0.0, 0.999999));
  list.add("mc-samples", s.mc_samples, "IVON: samples of the weights in a step", Effect::kTraining,
           kPositive);
  list.add("checkpoint-seconds", s.checkpoint_seconds, "time between checkpoints in an epoch",
           Effect::kOther, kNotNegative);
}

// What train and compare have in common.
void add_run(examples::Settings& list, Settings& s) {
  add_data(list, s.data);
  list.add("train-limit", s.data.train_limit, "train on that many images, evenly spread; 0 = all",
           Effect::kTraining, kCount);
  // training_fingerprint() tells whether images are packed; where they lie may change.
  list.add("cache", s.data.cache, "folder for packed images: decoded once, read from there later",
           Effect::kOther);
  list.add("measured", s.measured, "test images scored after each epoch; 0 = none", Effect::kOther,
           kCount);
  add_network(list, s.training);
  add_training(list, s.training);
  add_augmentation(list, s.augmentation);
}

}  // namespace

examples::OptimizerSettings usual_optimizer(const std::string& name) {
  examples::OptimizerSettings s = examples::optimizer_settings(name);
  if (name == "ivon") s.noise_max = 0.01;
  return s;
}

Settings::Settings() {
  common.out = "image_classification_results";
  common.samples = 16;
}

int64_t image_side(const TrainingSettings& s) {
  return s.side > 0 ? s.side : examples::image_model_info(s.model).side;
}

void add_training_settings(examples::Settings& list, Settings& s) {
  add_run(list, s);
  examples::add_optimizer_choice(list, s.optimizer, usual_optimizer);
}

void add_evaluation_settings(examples::Settings& list, Settings& s) {
  add_data(list, s.data);
  add_trained(list, s);
}

void add_prediction_settings(examples::Settings& list, Settings& s) {
  add_trained(list, s);
  add_reading(list, s.data);
}

void add_triage_settings(examples::Settings& list, Settings& s) {
  add_prediction_settings(list, s);
  list.add("top", s.top, "the most uncertain images on the sheet; triage.csv has all",
           Effect::kOther, CLI::Range(int64_t{1}, kMaxTop));
}

void add_comparison_settings(examples::Settings& list, Settings& s) {
  list.add("optimizers", s.optimizers, "to compare, separated by commas", Effect::kOther);
  list.add("noise-max", s.noise_max, "IVON: bound on the standard deviation of a weight; 0 = usual",
           Effect::kTraining, kNotNegative);
  list.add("search-epochs", s.search_epochs,
           "epochs of each of the five trainings that choose a learning rate; 0 = usual rates",
           Effect::kOther, kCount);
  list.add("search-images", s.search_images,
           "training images held out to score those trainings; 0 = a fifth", Effect::kOther,
           kCount);
  add_run(list, s);
}

void make_short(Settings& s) {
  s.data.train_limit = 60;
  s.data.test_limit = 40;
  s.training.epochs = 1;
  s.training.batch = 20;
  s.search_epochs = 1;
  s.measured = 20;
  s.common.samples = 2;
}

}  // namespace image_classification
