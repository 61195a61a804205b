// SPDX-License-Identifier: Apache-2.0
// The work of every call grows in proportion to the number of parameters: look-ups and comparisons
// are counted, no clock is read. docs/performance.md has the times.
#include <functional>
#include <ivon/ivon.hpp>
#include <memory>
#include <sstream>
#include <vector>

#include "pch.hpp"
#include "support.hpp"

namespace {

using ivon::IVON;
using ivon::IVONOptions;
using torch::optim::OptimizerParamGroup;

struct Workload {
  std::vector<torch::Tensor> parameters;
  std::unique_ptr<IVON<>> optimizer;
  bool on_step;

  Workload(int64_t tensors, bool one_group_each, bool sample_on_step) : on_step(sample_on_step) {
    for (int64_t i = 0; i < tensors; ++i) {
      parameters.push_back(torch::ones({2}).requires_grad_());
    }
    std::vector<OptimizerParamGroup> groups;
    if (one_group_each) {
      for (const auto& each : parameters) groups.emplace_back(std::vector<torch::Tensor>{each});
    } else {
      groups.emplace_back(parameters);
    }
    optimizer = std::make_unique<IVON<>>(groups, options());
  }
  IVONOptions options() const { return IVONOptions(0.1).ess(100).sample_on_step(on_step); }
  void write_gradients() {
    for (const auto& each : parameters) each.mutable_grad() = torch::ones({2});
  }
  void iterate() {
    if (on_step) {
      write_gradients();
    } else {
      const auto sample = optimizer->sampled_params();
      write_gradients();
    }
    optimizer->step();
  }
};

using Call = std::function<void(Workload&)>;

// Counted steps of `call` for so many tensors.
double work_of(int64_t tensors, bool one_group_each, bool on_step, const Call& call) {
  Workload run(tensors, one_group_each, on_step);
  run.iterate();
  const uint64_t before = ivon_work::count;
  call(run);
  return static_cast<double>(ivon_work::count - before);
}

void expect_linear(const char* name, const Call& call) {
  for (const bool one_group_each : {false, true}) {
    for (const bool on_step : {false, true}) {
      const double few = work_of(50, one_group_each, on_step, call);
      const double many = work_of(400, one_group_each, on_step, call);
      EXPECT_LE(many, 8 * few + 8) << name << (one_group_each ? ", one group each" : "")
                                   << (on_step ? ", sample_on_step" : "") << ": " << few
                                   << " for 50 tensors, " << many << " for 400";
      EXPECT_LE(few, 50 * 30) << name;
    }
  }
}

TEST(ManyTensors, EveryCallIsLinear) {
  const ivon_test::OneThread one_thread;
  expect_linear("construction", [](Workload& run) {
    run.optimizer.reset();
    for (const auto& each : run.parameters) each.mutable_grad().reset();
    run.optimizer = std::make_unique<IVON<>>(run.parameters, run.options());
  });
  expect_linear("construction with groups", [](Workload& run) {
    const auto groups = run.optimizer->param_groups();
    run.optimizer.reset();
    run.optimizer = std::make_unique<IVON<>>(groups, run.options());
  });
  expect_linear("iteration", [](Workload& run) { run.iterate(); });
  expect_linear("iteration with frozen parameters", [](Workload& run) {
    for (size_t i = 0; i < run.parameters.size(); i += 3) run.parameters[i].requires_grad_(false);
    run.optimizer->train();
    run.iterate();
  });
  expect_linear("eval and train", [](Workload& run) {
    run.optimizer->eval();
    run.optimizer->train();
  });
  expect_linear("param_state and mean of all", [](Workload& run) {
    for (const auto& each : run.parameters) {
      (void)run.optimizer->param_state(each);
      (void)run.optimizer->mean(each);
    }
  });
  expect_linear("save and load", [](Workload& run) {
    std::stringstream file;
    torch::save(*run.optimizer, file);
    torch::load(*run.optimizer, file);
  });
  expect_linear("manual_seed", [](Workload& run) { run.optimizer->manual_seed(1); });
  expect_linear("replaced parameters", [](Workload& run) {
    for (auto& group : run.optimizer->param_groups()) {
      for (auto& each : group.params()) each = torch::ones({2}).requires_grad_();
    }
    run.parameters.clear();
    for (const auto& group : run.optimizer->param_groups()) {
      run.parameters.insert(run.parameters.end(), group.params().begin(), group.params().end());
    }
    run.optimizer->train();
    run.iterate();
  });
}

TEST(ManyTensors, GroupsAddedOneByOneAreLinear) {
  const auto work = [](int64_t groups) {
    IVON optimizer(std::vector<torch::Tensor>{}, IVONOptions(0.1).ess(100));
    const uint64_t before = ivon_work::count;
    for (int64_t i = 0; i < groups; ++i) {
      optimizer.add_param_group(OptimizerParamGroup({torch::ones({2}).requires_grad_()}));
    }
    return static_cast<double>(ivon_work::count - before);
  };
  EXPECT_LE(work(400), 8 * work(50) + 8);
}

// Columns of one matrix lie interleaved, so each pair of them has to be told apart.
TEST(ManyTensors, ColumnsOfOneMatrixAreComparedOnce) {
  const auto work = [](int64_t columns) {
    auto matrix = torch::zeros({4, columns});
    std::vector<torch::Tensor> parameters;
    for (int64_t i = 0; i < columns; ++i) {
      parameters.push_back(matrix.select(1, i).requires_grad_());
    }
    const uint64_t before = ivon_work::count;
    IVON optimizer(parameters, IVONOptions(0.1).ess(100));
    { const auto sample = optimizer.sampled_params(); }
    return static_cast<double>(ivon_work::count - before);
  };
  EXPECT_LE(work(400), 8 * work(50) + 8);
}

// An archive has as many entries as it has kinds of value, whatever the number of parameters:
// LibTorch takes quadratic time for archives within archives.
TEST(ManyTensors, AnArchiveHasAFixedNumberOfEntries) {
  const auto entries = [](int64_t tensors) {
    Workload run(tensors, /*one_group_each=*/true, /*on_step=*/false);
    run.iterate();
    torch::serialize::OutputArchive archive;
    run.optimizer->save(archive);
    std::stringstream file;
    archive.save_to(file);
    torch::serialize::InputArchive whole, nested;
    whole.load_from(file);
    EXPECT_TRUE(whole.try_read(ivon::detail::kArchiveKey, nested));
    return nested.keys().size();
  };
  EXPECT_EQ(entries(3), entries(30));
}

}  // namespace
