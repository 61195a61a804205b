// SPDX-License-Identifier: Apache-2.0
#include "selective.hpp"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "common/table.hpp"

namespace image_classification {
namespace {

const double kRefused[] = {0, 0.05, 0.1, 0.2, 0.3};

// The predictions of one optimizer, for each seed.
struct SeedsOfMethod {
  std::string optimizer, title;
  std::vector<const Predicted*> seeds;
};

// In the order of the results, which is the order of the other tables.
std::vector<SeedsOfMethod> seeds_of_methods(const std::vector<Result>& results) {
  std::vector<SeedsOfMethod> methods;
  for (const Result& result : results) {
    auto method = std::find_if(methods.begin(), methods.end(), [&](const SeedsOfMethod& m) {
      return m.optimizer == result.optimizer;
    });
    const Predicted& predicted = result.evaluation.averaged;
    if (method == methods.end()) {
      methods.push_back({result.optimizer,
                         method_title(result.optimizer, predicted.samples, predicted.samples > 0),
                         {}});
      method = methods.end() - 1;
    }
    method->seeds.push_back(&predicted);
  }
  return methods;
}

}  // namespace

double error_without(const Predicted& predicted, double refused) {
  const int64_t n = predicted.probs.size(0);
  if (!(refused >= 0 && refused < 1)) {
    throw std::invalid_argument(fmt::format(
        "the share of refused images must be at least 0 and below 1, but is {}; give a part of 1",
        refused));
  }
  if (n == 0) throw std::invalid_argument("an error rate needs predictions of at least 1 image");
  const int64_t left = std::max<int64_t>(1, n - std::lround(refused * static_cast<double>(n)));
  const auto [confidence, classes] = predicted.probs.max(1);
  const torch::Tensor wrong = classes != predicted.targets;
  // The lowest confidence among the images that are left.
  const torch::Tensor threshold = std::get<0>(confidence.sort(0, /*descending=*/true))[left - 1];
  const torch::Tensor above = confidence > threshold, tied = confidence == threshold;
  const auto count = [](const torch::Tensor& flags) {
    return static_cast<double>(flags.sum().item<int64_t>());
  };
  const double tied_and_left = static_cast<double>(left) - count(above);
  const double errors = count(wrong.logical_and(above)) +
                        count(wrong.logical_and(tied)) * tied_and_left / count(tied);
  return errors / static_cast<double>(left);
}

std::string refusal_table(const std::vector<Result>& results) {
  std::vector<std::string> header = {"wrong % without the least certain"};
  for (const double refused : kRefused) header.push_back(fmt::format("{:.0f} %", 100 * refused));
  std::vector<std::vector<std::string>> rows;
  for (const SeedsOfMethod& method : seeds_of_methods(results)) {
    rows.push_back({method.title});
    for (const double refused : kRefused) {
      std::vector<double> rates;
      for (const Predicted* p : method.seeds) rates.push_back(100 * error_without(*p, refused));
      rows.back().push_back(examples::format_estimate(examples::estimate(rates), 2));
    }
  }
  return examples::format_table(header, rows);
}

}  // namespace image_classification
