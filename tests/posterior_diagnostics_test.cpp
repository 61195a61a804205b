// SPDX-License-Identifier: Apache-2.0
// posterior/posterior_diagnostics.hpp: figures by hand and the printed table.
#include "ivon/posterior/posterior_diagnostics.hpp"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <sstream>
#include <string>
#include <vector>

namespace {

using ivon::Posterior;
using ivon::PosteriorDiagnostics;
using ivon::PosteriorParameter;

PosteriorParameter diagnosed(const char* name, std::vector<double> mean,
                             std::vector<double> precision) {
  PosteriorParameter p;
  p.name = name;
  p.mean = torch::tensor(mean, torch::kDouble);
  p.precision = torch::tensor(precision, torch::kDouble);
  return p;
}

// The noise of "weight" is 1, 0.1, 0.01, 10 and that of "b" 0.1.
std::vector<PosteriorParameter> diagnosed_parameters() {
  return {diagnosed("weight", {2, -0.05, 0.5, 3}, {1, 100, 10000, 0.01}),
          diagnosed("b", {1}, {100}), diagnosed("none", {}, {})};
}

TEST(PosteriorDiagnostics, FiguresByHand) {
  std::vector<PosteriorParameter> parameters = diagnosed_parameters();
  parameters[0].prior_precision = torch::full({}, 0.005, torch::kDouble);
  parameters[1].prior_precision = torch::full({1}, 25.0, torch::kDouble);
  parameters[2].prior_precision = torch::full({}, 1.0, torch::kDouble);
  const PosteriorDiagnostics d = ivon::diagnostics(Posterior(parameters));
  ASSERT_EQ(d.parameters.size(), 3U);
  EXPECT_EQ(d.parameters[0].name, "weight");
  EXPECT_EQ(d.parameters[0].elements, 4);
  EXPECT_DOUBLE_EQ(d.parameters[0].log10_precision[0], -2);
  EXPECT_DOUBLE_EQ(d.parameters[0].log10_precision[1], 2);
  EXPECT_DOUBLE_EQ(d.parameters[0].log10_precision[2], 4);
  EXPECT_EQ(d.parameters[0].noise_above_mean, 0.5);
  EXPECT_DOUBLE_EQ(*d.parameters[0].effective_parameters, 4 - 0.005 - 5e-5 - 5e-7 - 0.5);
  EXPECT_EQ(d.parameters[1].noise_above_mean, 0);
  EXPECT_DOUBLE_EQ(*d.parameters[1].effective_parameters, 0.75);
  EXPECT_EQ(d.parameters[2].elements, 0);
  EXPECT_EQ(*d.parameters[2].effective_parameters, 0);
  EXPECT_EQ(d.total.elements, 5);
  EXPECT_EQ(d.total.noise_above_mean, 0.4);
  EXPECT_EQ(parameters[1].precision.item<double>(), 100);  // the posterior is unchanged
  EXPECT_DOUBLE_EQ(d.total.log10_precision[1], 2);
  EXPECT_DOUBLE_EQ(*d.total.effective_parameters, 4.75 - 0.005 - 5e-5 - 5e-7 - 0.5);
}

TEST(PosteriorDiagnostics, PrintsATableWithADashWhereThereIsNoPrior) {
  std::vector<PosteriorParameter> parameters = diagnosed_parameters();
  parameters[1].prior_precision = torch::full({}, 25.0, torch::kDouble);
  std::ostringstream out;
  out << ivon::diagnostics(Posterior(parameters));
  EXPECT_EQ(out.str(),
            "           weights  log10 precision 5 50 95 %  noise>|m|  effective\n"
            "weight           4   -2.00   2.00   4.00    50.0 %             -\n"
            "b                1    2.00   2.00   2.00     0.0 %           0.8\n"
            "none             0    0.00   0.00   0.00     0.0 %             -\n"
            "total            5   -2.00   2.00   4.00    40.0 %             -\n");
}

// The total counts every weight the same, although only a part of a large parameter is looked at.
TEST(PosteriorDiagnostics, LargeParametersCountByTheirSize) {
  PosteriorParameter large = diagnosed("large", {}, {});
  large.mean = torch::ones({1 << 20});
  large.precision = torch::full({1 << 20}, 100.0F);
  PosteriorParameter small = diagnosed("small", {}, {});
  small.mean = torch::ones({1 << 17});
  small.precision = torch::ones({1 << 17});
  const PosteriorDiagnostics d = ivon::diagnostics(Posterior({large, small}));
  EXPECT_EQ(d.total.elements, (1 << 20) + (1 << 17));
  EXPECT_EQ(d.total.log10_precision[0], 0);  // a ninth of the weights is small
  EXPECT_DOUBLE_EQ(d.total.log10_precision[1], 2);
  large.mean = torch::ones({1 << 22});
  large.precision = torch::full({1 << 22}, 100.0F);
  // Now it is a 33rd, less than 5 %.
  EXPECT_DOUBLE_EQ(ivon::diagnostics(Posterior({large, small})).total.log10_precision[0], 2);
}

TEST(PosteriorDiagnostics, AnEmptyPosterior) {
  const PosteriorDiagnostics d = ivon::diagnostics(Posterior({}));
  EXPECT_EQ(d.total.elements, 0);
  EXPECT_EQ(d.total.noise_above_mean, 0);
  EXPECT_EQ(d.total.effective_parameters, 0);
}

}  // namespace
