// SPDX-License-Identifier: Apache-2.0
#include "measures.hpp"

#include <torch/torch.h>

#include <cstddef>
#include <ivon/posterior/metrics.hpp>

namespace uncertainty {
namespace {

std::optional<Detection> detection(const Uncertainties& u) {
  if (!u.clip_art.defined()) return {};
  const torch::Tensor values = torch::cat({u.clean, u.clip_art});
  const torch::Tensor is_clip_art = torch::cat(
      {torch::zeros_like(u.clean, torch::kBool), torch::ones_like(u.clip_art, torch::kBool)});
  return Detection{ivon::auroc(values, is_clip_art), ivon::aupr(values, is_clip_art),
                   ivon::fpr_at_tpr(values, is_clip_art)};
}

torch::Tensor correct_answers(const ivon::Prediction& p, const torch::Tensor& targets) {
  return p.probs.argmax(1) == targets;
}

}  // namespace

Measures measure(const Predictor& predict, const TestSet& test, bool sampled) {
  Measures m;
  std::vector<torch::Tensor> confidence, correct;
  for (const Condition& condition : test.conditions) {
    const ivon::Prediction p = predict(condition.images);
    m.scores.push_back(examples::score(p.probs, test.targets));
    const bool is_clean = &condition == &test.clean();
    if (is_clean) {
      m.entropy.clean = p.entropy;
      m.mutual_information.clean = p.mutual_information;
    }
    if (is_clean || &condition == &test.middle()) {
      confidence.push_back(p.confidence);
      correct.push_back(correct_answers(p, test.targets));
    }
  }
  m.confidence = torch::cat(confidence);
  m.correct = torch::cat(correct);
  m.aurc = ivon::aurc(m.confidence, m.correct);
  if (test.clip_art.defined()) {
    const ivon::Prediction p = predict(test.clip_art);
    m.entropy.clip_art = p.entropy;
    m.mutual_information.clip_art = p.mutual_information;
    m.by_entropy = detection(m.entropy);
    if (sampled) m.by_information = detection(m.mutual_information);
  }
  return m;
}

examples::Scores mean_over_corruptions(const std::vector<examples::Scores>& scores) {
  examples::Scores mean;
  const auto n = static_cast<double>(scores.size() - 1);
  for (size_t i = 1; i < scores.size(); ++i) {
    mean.accuracy += scores[i].accuracy / n;
    mean.nll += scores[i].nll / n;
    mean.ece += scores[i].ece / n;
  }
  return mean;
}

}  // namespace uncertainty
