// SPDX-License-Identifier: Apache-2.0
// The trainings of a comparison and their results, kept in files so that an interrupted comparison
// goes on where it stopped.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "evaluation.hpp"
#include "training.hpp"

namespace image_classification {

// What one training of a comparison gave.
struct Result {
  std::string optimizer;
  double lr = 0;
  int64_t seed = 1, epochs = 1;
  double seconds = 0;
  Evaluation evaluation;
};

// The name of a training in the progress line, the log and its files. `phase`: "search" or "final".
std::string run_name(const std::string& optimizer, double lr, const std::string& phase);

class Comparison {
 public:
  Comparison(const Settings& s, const examples::Settings& list, const DataSets& data,
             ImagesPtr outside, examples::RunLog& log);

  // The result of a whole training: from the files in --out if it is there with --resume, otherwise
  // trained now.
  Result final_result(const examples::OptimizerSettings& optimizer, int64_t seed);

  // The optimizer's usual settings with the learning rate that has the lowest NLL at the mean on
  // the held-out images after search_epochs: the usual rate, or one of two smaller and two larger
  // ones, half a decade apart. With search_epochs 0 the usual rate. Says on stderr where the best
  // rate is the smallest or the largest of them, or all trainings diverge.
  examples::OptimizerSettings with_best_rate(const std::string& optimizer);

  // The NLL of each learning rate that was tried, in the order of the trials.
  struct Trial {
    std::string optimizer;
    double lr, nll, accuracy;
  };
  const std::vector<Trial>& trials() const { return trials_; }

 private:
  // What final_result() does, for both phases; the search scores the mean only.
  Result result(const examples::OptimizerSettings& optimizer, const std::string& phase,
                int64_t seed);
  Evaluation evaluation_of(Trained& trained, const DataSets& data, bool searching) const;

  const Settings& s_;
  const examples::Settings& list_;
  const DataSets& data_;
  DataSets search_;  // training images only: for fitting, and held out
  ImagesPtr outside_;
  examples::RunLog& log_;
  std::vector<Trial> trials_;
};

// The results of one optimizer with the same weights and statistics of batch norm, over the seeds:
// a row of the table.
struct Group {
  std::string title;  // "ivon, 16 samples"
  std::string optimizer;
  int64_t samples = 0;
  std::string batch_norm;  // as in Row
  std::vector<Scores> scores;
  std::vector<double> seconds_per_epoch;
};

std::vector<Group> grouped(const std::vector<Result>& results);

// The table, one row for each group: mean and standard error over the seeds.
std::string comparison_table(const std::vector<Group>& groups);

// A table of the learning rates that were tried.
std::string trial_table(const std::vector<Comparison::Trial>& trials);

}  // namespace image_classification
