// SPDX-License-Identifier: Apache-2.0
#include "result_files.hpp"

#include <torch/torch.h>

#include <fstream>
#include <limits>

#include "common/atomic_file.hpp"

namespace image_classification {
namespace {

std::vector<torch::Tensor> tensors_of(const Evaluation& e) {
  std::vector<torch::Tensor> tensors;
  for (const Predicted* p : {&e.mean, &e.averaged}) {
    tensors.insert(tensors.end(), {torch::tensor(p->samples), p->probs, p->entropy,
                                   p->mutual_information, p->targets, p->rows});
  }
  return tensors;
}

Predicted predicted_of(const std::vector<torch::Tensor>& tensors, size_t first) {
  return {tensors.at(first).item<int64_t>(),
          tensors.at(first + 1),
          tensors.at(first + 2),
          tensors.at(first + 3),
          tensors.at(first + 4),
          tensors.at(first + 5)};
}

Row row_of(const examples::Json& json) {
  Row row;
  json.at("samples").get_to(row.samples);
  json.at("batch_norm").get_to(row.batch_norm);
  json.at("accuracy").get_to(row.scores.accuracy);
  const examples::Json& nll = json.at("nll");  // JSON has no infinity, so null stands for it
  row.scores.nll = nll.is_null() ? std::numeric_limits<double>::infinity() : nll.get<double>();
  json.at("ece").get_to(row.scores.ece);
  json.at("brier").get_to(row.scores.brier);
  if (json.contains("class_auroc")) {
    row.scores.class_auroc = json.at("class_auroc").get<double>();
  }
  if (json.contains("auroc")) row.scores.auroc = json.at("auroc").get<double>();
  return row;
}

}  // namespace

void save_result(const std::filesystem::path& folder, const examples::Json& fingerprint,
                 const Result& r) {
  std::filesystem::create_directories(folder);
  torch::save(tensors_of(r.evaluation), (folder / "predictions.pt").string());
  // Written last and atomically: where it is, the predictions are whole.
  examples::write_atomically(folder / "result.json",
                             examples::Json{{"fingerprint", fingerprint},
                                            {"optimizer", r.optimizer},
                                            {"lr", r.lr},
                                            {"seed", r.seed},
                                            {"epochs", r.epochs},
                                            {"seconds", r.seconds},
                                            {"scores", r.evaluation.to_json()}}
                                     .dump(2) +
                                 "\n");
}

bool load_result(const std::filesystem::path& folder, const examples::Json& fingerprint,
                 Result& r) {
  std::ifstream in(folder / "result.json");
  if (!in) return false;
  const examples::Json json = examples::Json::parse(in, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded() || json.value("fingerprint", examples::Json()) != fingerprint) {
    return false;
  }
  json.at("optimizer").get_to(r.optimizer);
  json.at("lr").get_to(r.lr);
  json.at("seed").get_to(r.seed);
  json.at("epochs").get_to(r.epochs);
  json.at("seconds").get_to(r.seconds);
  for (const examples::Json& row : json.at("scores")) r.evaluation.rows.push_back(row_of(row));
  std::vector<torch::Tensor> tensors;
  torch::load(tensors, (folder / "predictions.pt").string());
  r.evaluation.mean = predicted_of(tensors, 0);
  r.evaluation.averaged = predicted_of(tensors, 6);
  return true;
}

}  // namespace image_classification
