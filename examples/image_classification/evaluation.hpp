// SPDX-License-Identifier: Apache-2.0
// What a trained network scores on test images: at the mean of its posterior, and averaged over
// samples of it.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/settings.hpp"
#include "common/weight_average.hpp"
#include "network.hpp"
#include "prediction.hpp"
#include "training.hpp"

namespace image_classification {

struct Scores {
  double accuracy = 0;                // 0..1
  double nll = 0;                     // nats per image; infinite after a training that diverged
  double ece = 0;                     // 15 bins, 0..1
  double brier = 0;                   // 0..2
  std::optional<double> class_auroc;  // of a class's probability, where there are two classes
  std::optional<double> auroc;        // of the entropy: images of no class against test images

  examples::Json to_json() const;
};

Scores score(const Predicted& test, const Predicted* outside);

// A score as a column of tables. Some scores exist only for some data: then `of` gives nothing.
struct ScoreColumn {
  std::string title;  // "acc. %"
  double factor;      // of the shown number
  int digits;         // after the point
  std::function<std::optional<double>(const Scores&)> of;
};

// All of them in the order of tables.
const std::vector<ScoreColumn>& score_columns();

// One line of the table of an evaluation.
struct Row {
  int64_t samples;
  std::string batch_norm;  // "as trained", "at the mean", or "none" for networks without it
  Scores scores;
};

struct Evaluation {
  std::vector<Row> rows;
  Predicted mean, averaged;  // with the statistics of batch norm that training left

  const Row& row(int64_t samples, const std::string& batch_norm) const;
  examples::Json to_json() const;
  std::string table() const;
};

// Row::batch_norm of a network as training has left it.
std::string batch_norm_as_trained(const Network& network);

// What tables and figures call predictions with that many samples of the weights: "adamw", or of an
// optimizer with a posterior "ivon at the mean" and "ivon, 16 samples".
std::string method_title(const std::string& optimizer, int64_t samples, bool has_posterior);

// Scores the network on the test images, as it is and, if it has batch norm, with statistics that
// are estimated again at the mean from training images, which are cropped as test images are. The
// statistics of training are put back. `outside` may be null.
Evaluation evaluate(const Network& network, std::optional<ivon::Posterior>& posterior,
                    const DataSets& data, const examples::ImageData* outside, const DataSettings& s,
                    int64_t samples);

// For the log of a training: accuracy and NLL of some test images with what will be tested at its
// end, the mean of the posterior or the averaged weights.
examples::Json score_at_mean(const Network& network, ivon::IVON<>* ivon,
                             std::optional<examples::WeightAverage>& average, const Run& run);

}  // namespace image_classification
