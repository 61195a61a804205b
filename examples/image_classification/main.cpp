// SPDX-License-Identifier: Apache-2.0
// Image classification: ResNets, vision transformers and others, trained with IVON or with another
// optimizer.
//
// Purpose  train on your own images or on known data sets, see how far the predictions can be
//          trusted, and compare optimizers under equal conditions
// Data     a folder with train/ and test/ and one folder of JPEG or PNG files for each class;
//          CIFAR-10 or CIFAR-100 (binary version); MNIST or Fashion-MNIST (IDX; the default is
//          Debian's dataset-fashion-mnist)
// Command  image_classification train --data DIR --model resnet50 --out OUT
//          image_classification evaluate --data DIR --trained OUT/ivon-1
//          image_classification predict --trained OUT/ivon-1 FILE...
//          image_classification triage --trained OUT/ivon-1 FOLDER
//          image_classification compare --seeds 3
//          image_classification train --smoke      seconds: only shows that everything runs
// Output   a table of scores; the trained network, its posterior, log.jsonl and results.json in
//          --out. This folder's README shows real runs.
//
// The loop is in steps.cpp, the networks are in common/models, the images in common/data.
#include <fmt/format.h>

#include <cstdio>
#include <string>
#include <vector>

#include "commands.hpp"
#include "common/models/image_models.hpp"
#include "common/program.hpp"
#include "settings.hpp"

namespace {

using image_classification::Settings;

void list_models() {
  for (const examples::ImageModelInfo& info : examples::image_models()) {
    fmt::print("{:<16} {:>3} pixels  {}\n", info.name, info.side, info.description);
  }
}

std::vector<examples::Program> commands(Settings& s, std::vector<std::string>& files) {
  using List = examples::Settings;
  const auto shorten = [&s] { make_short(s); };
  examples::Program train{"train", "trains a network, scores and saves it", s.common, {}, {}, {},
                          {}};
  train.add_settings = [&s](List& list) { add_training_settings(list, s); };
  train.smoke = shorten;
  train.run = [&s](const List& list) { image_classification::train(s, list); };

  examples::Program evaluate{
      "evaluate", "scores a trained network", s.common, {"seeds", "seed", "resume"}, {}, {}, {}};
  evaluate.add_settings = [&s](List& list) { add_evaluation_settings(list, s); };
  evaluate.smoke = shorten;
  evaluate.run = [&s](const List& list) { image_classification::evaluate_trained(s, list); };

  examples::Program predict{
      "predict", "classifies image files", s.common, {"seeds", "seed", "resume", "out"}, {}, {},
      {}};
  predict.add_settings = [&s](List& list) { add_prediction_settings(list, s); };
  predict.smoke = shorten;
  predict.run = [&](const List&) { image_classification::predict_files(s, files); };
  predict.files = &files;
  predict.files_help = "JPEG or PNG files";

  examples::Program triage = predict;
  triage.name = "triage";
  triage.description = "sorts a folder's images by how uncertain the network is about them";
  triage.without = {"seeds", "seed", "resume"};
  triage.add_settings = [&s](List& list) { add_triage_settings(list, s); };
  triage.run = [&](const List&) { image_classification::triage(s, files); };
  triage.files_help = "folders of JPEG or PNG files, or files";

  examples::Program compare{
      "compare", "trains with several optimizers and seeds", s.common, {}, {}, {}, {}};
  compare.add_settings = [&s](List& list) { add_comparison_settings(list, s); };
  compare.smoke = shorten;
  compare.run = [&s](const List& list) { image_classification::compare(s, list); };
  return {train, evaluate, predict, triage, compare};
}

}  // namespace

int main(int argc, char** argv) {
  Settings s;
  std::vector<std::string> files;
  return examples::run_command(
      argc, argv, "image_classification", "Image classification with IVON and other optimizers",
      commands(s, files), {{"--list-models", "the networks", list_models}});
}
