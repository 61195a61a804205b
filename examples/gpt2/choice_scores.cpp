// SPDX-License-Identifier: Apache-2.0
#include "choice_scores.hpp"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <ivon/posterior/metrics.hpp>
#include <ivon/posterior/prediction.hpp>
#include <ivon/posterior/prune.hpp>
#include <limits>
#include <numeric>
#include <optional>
#include <stdexcept>

#include "common/autocast.hpp"
#include "common/progress.hpp"
#include "common/table.hpp"

namespace gpt2 {
namespace {

// Evaluation mode until the end of the scope.
class ChoiceEvaluationMode {
 public:
  explicit ChoiceEvaluationMode(torch::nn::Module& model)
      : model_(model), was_training_(model.is_training()) {
    model_.eval();
  }
  ~ChoiceEvaluationMode() { model_.train(was_training_); }
  ChoiceEvaluationMode(const ChoiceEvaluationMode&) = delete;
  ChoiceEvaluationMode& operator=(const ChoiceEvaluationMode&) = delete;

 private:
  torch::nn::Module& model_;
  bool was_training_;
};

// Questions in batches of similar length, so that little of a forward pass is padding.
struct ChoiceTest {
  torch::Tensor order;  // int64 [n]: the questions in the order of the batches
  std::vector<ChoiceBatch> batches;
  std::vector<ivon::PredictionAccumulator> averages;  // one for each batch

  ChoiceTest(const std::vector<TokenQuestion>& questions, int64_t batch,
             const torch::Device& device) {
    check(questions.size(), batch);
    std::vector<int64_t> numbers(questions.size());
    std::iota(numbers.begin(), numbers.end(), 0);
    const auto length = [&](int64_t i) { return questions[static_cast<size_t>(i)].longest(); };
    std::stable_sort(numbers.begin(), numbers.end(),
                     [&](int64_t a, int64_t b) { return length(a) < length(b); });
    order = torch::tensor(numbers, torch::kLong);
    size_t most = 2;
    for (const TokenQuestion& q : questions) most = std::max(most, q.choices.size());
    for (const torch::Tensor& rows : order.split(batch)) {
      batches.push_back(choice_batch(questions, rows, device, static_cast<int64_t>(most)));
    }
    clear();
  }

  static void check(size_t questions, int64_t batch) {
    if (questions == 0) {
      throw std::invalid_argument(
          "there must be at least 1 question to predict, but there is none; check the file of "
          "questions");
    }
    if (batch < 1) {
      throw std::invalid_argument(fmt::format(
          "the questions of a forward pass must be at least 1, but are {}; 16 is usual", batch));
    }
  }

  // Begins new averages.
  void clear() { averages.assign(batches.size(), {}); }

  // What `tensor_of` takes from each batch's result, joined in the order of the questions.
  template <class TensorOf>
  torch::Tensor joined(TensorOf&& tensor_of) const {
    std::vector<torch::Tensor> parts;
    for (size_t i = 0; i < batches.size(); ++i) parts.push_back(tensor_of(i).cpu());
    return torch::cat(parts).index_select(0, order.argsort());
  }

  ChoicePrediction result() const {
    std::vector<ivon::Prediction> results;
    for (const auto& average : averages) results.push_back(average.result());
    ChoicePrediction all;
    all.samples = averages.front().count();
    all.probs = joined([&](size_t i) { return results[i].probs; });
    all.entropy = joined([&](size_t i) { return results[i].entropy; });
    all.mutual_information = joined([&](size_t i) { return results[i].mutual_information; });
    all.answers = joined([&](size_t i) { return batches[i].answers; });
    return all;
  }
};

void check_choice_counts(bool has_posterior, const std::vector<int64_t>& counts) {
  for (size_t i = 0; i < counts.size(); ++i) {
    const bool rises = i == 0 ? counts[i] >= 0 : counts[i] > counts[i - 1];
    if (rises && (has_posterior || counts[i] == 0)) continue;
    throw std::invalid_argument(fmt::format(
        "the numbers of samples must be at least 0 and rise, and be 0 without a posterior, but "
        "number {} of them is {}{}; choose others",
        i + 1, counts[i], has_posterior ? "" : " without a posterior"));
  }
}

torch::Device device_of_choices(const examples::Gpt2& model) {
  const auto parameters = model.parameters();
  return parameters.empty() ? torch::Device(torch::kCPU) : parameters.front().device();
}

ChoiceRow choice_row(const ChoicePrediction& prediction, double tau, double pruned) {
  ChoiceRow row;
  row.samples = prediction.samples;
  row.tau = tau;
  row.pruned = pruned;
  row.scores = score_choices(prediction);
  return row;
}

// predict_choices() with batches that are made already and averages that it begins anew.
std::vector<ChoicePrediction> predict_choice_test(examples::Gpt2& model,
                                                  const ivon::Posterior* posterior,
                                                  ChoiceTest& test,
                                                  const std::vector<int64_t>& counts,
                                                  const ChoiceTestSettings& settings,
                                                  const std::string& label) {
  check_choice_counts(posterior != nullptr, counts);
  const torch::NoGradGuard no_grad;
  const ChoiceEvaluationMode evaluating(model);
  test.clear();
  std::optional<ivon::Posterior> q;  // a copy, because drawing changes the position in the noise
  if (posterior != nullptr) q = *posterior;
  if (q) q->manual_seed(settings.seed);
  const torch::Device device = device_of_choices(model);
  const int64_t n = test.order.size(0);
  const bool at_mean = !counts.empty() && counts.front() == 0;
  const int64_t passes = (counts.empty() ? 0 : counts.back()) + (at_mean ? 1 : 0);
  examples::CountProgress progress(label, passes * n, "questions");
  int64_t done = 0;
  const auto add_to_averages = [&] {
    const examples::Autocast autocast(device.type(), settings.bf16);
    for (size_t i = 0; i < test.batches.size(); ++i) {
      test.averages[i].add(choice_logits(model, test.batches[i], settings.choice));
      done += test.batches[i].answers.size(0);
      progress.show(static_cast<double>(done));
    }
  };
  std::vector<ChoicePrediction> all;
  for (const int64_t count : counts) {
    if (count == 0) {
      std::optional<ivon::SampledParams> mean;
      if (q) mean.emplace(q->mean_params(model));
      add_to_averages();
      all.push_back(test.result());
      all.back().samples = 0;
      test.clear();
      continue;
    }
    while (test.averages.front().count() < count) {
      const auto sample = q->sampled_params(model);
      add_to_averages();
    }
    all.push_back(test.result());
  }
  progress.end();
  return all;
}

}  // namespace

std::vector<ChoicePrediction> predict_choices(examples::Gpt2& model,
                                              const ivon::Posterior* posterior,
                                              const std::vector<TokenQuestion>& questions,
                                              const std::vector<int64_t>& counts,
                                              const ChoiceTestSettings& settings,
                                              const std::string& label) {
  ChoiceTest test(questions, settings.batch, device_of_choices(model));
  return predict_choice_test(model, posterior, test, counts, settings, label);
}

ChoiceScores score_choices(const ChoicePrediction& prediction) {
  if (!prediction.probs.isfinite().all().item<bool>()) {
    return {0, std::numeric_limits<double>::infinity(), 1, 2};
  }
  const torch::Tensor& probs = prediction.probs;
  const torch::Tensor& answers = prediction.answers;
  return {ivon::accuracy(probs, answers), ivon::nll(probs, answers), ivon::ece(probs, answers),
          ivon::brier(probs, answers)};
}

std::vector<ChoiceRow> evaluate_choices(examples::Gpt2& model, const ivon::Posterior* posterior,
                                        const std::vector<TokenQuestion>& questions,
                                        const ChoiceEvaluationSettings& s) {
  ChoiceTest test(questions, s.test.batch, device_of_choices(model));
  const auto predict = [&](const ivon::Posterior* q, const std::vector<int64_t>& counts) {
    return predict_choice_test(model, q, test, counts, s.test, "test");
  };
  std::vector<ChoiceRow> rows;
  if (posterior == nullptr) {
    rows.push_back(choice_row(predict(nullptr, {0}).front(), 1, 0));
    return rows;
  }
  std::vector<double> shares = {0};
  if (s.pruned != 0) shares.push_back(s.pruned);
  for (const double share : shares) {
    const ivon::Posterior q = share == 0 ? *posterior : ivon::prune(*posterior, share);
    for (const auto& p : predict(&q, {0, s.samples})) {
      rows.push_back(choice_row(p, 1, share));
    }
    if (s.tau == 1) continue;
    // Tempered before it is pruned, because the precision of pruned weights leaves little room for
    // a factor. The weights that are pruned are the same.
    const ivon::Posterior tempered = posterior->tempered(s.tau);
    const ivon::Posterior narrow = share == 0 ? tempered : ivon::prune(tempered, share);
    rows.push_back(choice_row(predict(&narrow, {s.samples}).front(), s.tau, share));
  }
  return rows;
}

examples::Json ChoiceScores::to_json() const {
  return {{"accuracy", accuracy}, {"nll", nll}, {"ece", ece}, {"brier", brier}};
}

std::string ChoiceRow::title() const {
  std::string title = samples == 0 ? "at the mean" : fmt::format("{} samples", samples);
  if (tau != 1) title += fmt::format(", tau {:g}", tau);
  if (pruned != 0) title += fmt::format(", {:g} % pruned", 100 * pruned);
  return title;
}

examples::Json ChoiceRow::to_json() const {
  examples::Json json = {{"samples", samples}, {"tau", tau}, {"pruned", pruned}};
  json.update(scores.to_json());
  return json;
}

std::string choice_table(const std::vector<ChoiceRow>& rows) {
  std::vector<std::vector<std::string>> lines;
  for (const ChoiceRow& row : rows) {
    lines.push_back({row.title(), fmt::format("{:.2f}", 100 * row.scores.accuracy),
                     fmt::format("{:.4f}", row.scores.nll), fmt::format("{:.4f}", row.scores.ece),
                     fmt::format("{:.4f}", row.scores.brier)});
  }
  return examples::format_table({"weights", "acc. %", "NLL", "ECE", "Brier"}, lines);
}

}  // namespace gpt2
