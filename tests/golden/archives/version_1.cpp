// SPDX-License-Identifier: Apache-2.0
// Writes an archive of the first format and what a reader must find in it; to be built with ivon as
// of commit 5af9b56, the last that wrote that format.
//   version_1 FOLDER
#include <torch/torch.h>

#include <ivon/ivon.hpp>
#include <string>
#include <vector>

int main(int, char** argv) {
  torch::set_num_threads(1);
  torch::manual_seed(5);
  auto a = torch::randn({3, 2}).requires_grad_();
  auto b = torch::randn({4}).to(torch::kBFloat16).requires_grad_();
  auto c = torch::randn({2}, torch::kDouble).requires_grad_();
  std::vector<torch::optim::OptimizerParamGroup> groups;
  groups.emplace_back(std::vector<torch::Tensor>{a, b});
  groups.emplace_back(
      std::vector<torch::Tensor>{c},
      std::make_unique<ivon::IVONOptions>(ivon::IVONOptions(0.2).clip_radius(0.5).debias(false)));
  ivon::IVON optimizer(groups, ivon::IVONOptions(0.1).ess(1000).beta2(0.99).sample_on_step(true));
  optimizer.manual_seed(7);
  for (int t = 0; t < 3; ++t) {
    optimizer.zero_grad();
    ((a * a).sum() + b.to(torch::kFloat).pow(2).sum() + c.pow(2).sum()).backward();
    optimizer.step();
  }
  torch::serialize::OutputArchive archive;
  optimizer.save(archive);
  archive.save_to(std::string(argv[1]) + "/version_1.pt");
  std::vector<torch::Tensor> expected;
  for (const auto& parameter : {a, b, c}) {
    expected.push_back(optimizer.mean(parameter));
    expected.push_back(optimizer.param_state(parameter).hess());
    expected.push_back(optimizer.param_state(parameter).momentum());
  }
  torch::save(expected, std::string(argv[1]) + "/version_1_expected.pt");
}
