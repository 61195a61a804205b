// SPDX-License-Identifier: Apache-2.0
// Deep Q-learning on the cart-pole problem: replay memory, a target network that follows slowly,
// Huber loss, gradients clipped by value, AdamW with its default weight decay and a constant rate.
#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "drop_in/task.hpp"

namespace drop_in {
namespace {

// A pole on a cart that is pushed to the left or to the right (Barto, Sutton and Anderson, 1983;
// without friction). Every step is rewarded with 1 until the pole falls or the cart leaves the
// track.
class CartPole {
 public:
  static constexpr int kMaxSteps = 500;

  void reset(std::mt19937_64& starts) {
    std::uniform_real_distribution<double> small(-0.05, 0.05);
    for (double& value : state_) value = small(starts);
    steps_ = 0;
  }

  void push(bool right) {
    auto& [x, velocity, angle, turning] = state_;
    const double force = right ? 10.0 : -10.0;
    const double gravity = 9.8, cart_mass = 1.0, pole_mass = 0.1, half_length = 0.5, tick = 0.02;
    const double mass = cart_mass + pole_mass, sine = std::sin(angle), cosine = std::cos(angle);
    const double thrust = (force + pole_mass * half_length * turning * turning * sine) / mass;
    const double turning_rate = (gravity * sine - cosine * thrust) /
                                (half_length * (4.0 / 3.0 - pole_mass * cosine * cosine / mass));
    const double velocity_rate = thrust - pole_mass * half_length * turning_rate * cosine / mass;
    x += tick * velocity;
    velocity += tick * velocity_rate;
    angle += tick * turning;
    turning += tick * turning_rate;
    ++steps_;
  }

  bool fell() const {
    const double limit = 12 * 3.14159265358979323846 / 180;
    return std::abs(state_[0]) > 2.4 || std::abs(state_[2]) > limit;
  }
  bool over() const { return fell() || steps_ >= kMaxSteps; }
  int steps() const { return steps_; }

  void write(float* row) const {
    for (const double value : state_) *row++ = static_cast<float>(value);
  }

 private:
  std::array<double, 4> state_{};  // position, velocity, angle, angular velocity
  int steps_ = 0;
};

// The last transitions: a row each.
struct DqnMemory {
  static constexpr int64_t kRows = 50'000;
  torch::Tensor states = torch::zeros({kRows, 4}), next_states = torch::zeros({kRows, 4});
  torch::Tensor actions = torch::zeros({kRows, 1}, torch::kInt64);
  torch::Tensor goes_on = torch::zeros({kRows});  // 0 if the pole fell, else 1
};

torch::nn::Sequential dqn_network() {
  return torch::nn::Sequential(torch::nn::Linear(4, 64), torch::nn::ReLU(),
                               torch::nn::Linear(64, 64), torch::nn::ReLU(),
                               torch::nn::Linear(64, 2));
}

// Returns the sum of the returns of `episodes` episodes with greedy actions, all played at a time.
double dqn_returns(torch::nn::Sequential& model, int64_t episodes, std::mt19937_64& starts) {
  const torch::NoGradGuard no_grad;
  std::vector<CartPole> carts(static_cast<size_t>(episodes));
  for (CartPole& cart : carts) cart.reset(starts);
  const torch::Tensor states = torch::zeros({episodes, 4});
  for (int step = 0; step < CartPole::kMaxSteps; ++step) {
    for (int64_t i = 0; i < episodes; ++i) carts[i].write(states.data_ptr<float>() + 4 * i);
    const torch::Tensor values = model->forward(states);
    const float* const value = values.const_data_ptr<float>();
    for (int64_t i = 0; i < episodes; ++i) {
      if (!carts[i].over()) carts[i].push(/*right=*/value[2 * i + 1] > value[2 * i]);
    }
  }
  double total = 0;
  for (const CartPole& cart : carts) total += cart.steps();
  return total;
}

}  // namespace

Result train_dqn(const Run& run) {
  torch::manual_seed(run.seed);
  torch::nn::Sequential model = dqn_network();
  torch::nn::Sequential target = dqn_network();
  const auto follow = [&](double weight) {
    const torch::NoGradGuard no_grad;
    const std::vector<torch::Tensor> from = model->parameters();
    const std::vector<torch::Tensor> to = target->parameters();
    for (size_t i = 0; i < to.size(); ++i) to[i].lerp_(from[i], weight);
  };
  follow(1);
  const auto optimizer =
      run.contender.make(model->parameters(), torch::optim::AdamWOptions(3e-4), /*examples=*/0);

  // Each has a generator of its own, so that what one optimizer's policy does shifts no other draw.
  std::mt19937_64 starts(4 * run.seed), exploration(4 * run.seed + 1), replay(4 * run.seed + 2);
  std::mt19937_64 test_starts(4 * run.seed + 3);
  std::uniform_real_distribution<double> uniform(0, 1);
  const int64_t batch_size = 64;
  DqnMemory memory;
  CartPole cart;
  cart.reset(starts);
  double total = 0;
  int64_t episodes = 0;
  const auto evaluate = [&](int64_t count) {
    optimizer->eval();
    total += dqn_returns(model, count, test_starts);
    episodes += count;
    optimizer->train();
  };

  const int64_t steps = run.scaled(120'000);
  const int64_t between = std::max<int64_t>(1, steps / 20);
  for (int64_t step = 0; step < steps; ++step) {
    // Act, at first mostly at random.
    const int64_t row = step % DqnMemory::kRows;
    cart.write(memory.states.data_ptr<float>() + 4 * row);
    const double random_rate = 0.05 + 0.85 * std::exp(-static_cast<double>(step) / 2'500);
    const bool random = uniform(exploration) < random_rate;
    bool right = uniform(exploration) < 0.5;
    if (!random) {
      const torch::NoGradGuard no_grad;
      const torch::Tensor values = model->forward(memory.states.narrow(0, row, 1));
      right = values.const_data_ptr<float>()[1] > values.const_data_ptr<float>()[0];
    }
    cart.push(right);
    cart.write(memory.next_states.data_ptr<float>() + 4 * row);
    memory.actions.data_ptr<int64_t>()[row] = right ? 1 : 0;
    memory.goes_on.data_ptr<float>()[row] = cart.fell() ? 0.0F : 1.0F;
    if (cart.over()) cart.reset(starts);

    // Learn from a random batch of the memory.
    const int64_t filled = std::min(step + 1, DqnMemory::kRows);
    if (filled >= batch_size) {
      std::uniform_int_distribution<int64_t> any(0, filled - 1);
      const torch::Tensor rows = torch::empty({batch_size}, torch::kInt64);
      std::generate_n(rows.data_ptr<int64_t>(), batch_size, [&] { return any(replay); });
      torch::Tensor goal;
      {
        const torch::NoGradGuard no_grad;
        const torch::Tensor next = target->forward(memory.next_states.index_select(0, rows));
        goal = 1 + 0.99 * memory.goes_on.index_select(0, rows) * next.amax(1);
      }
      optimizer->zero_grad();
      const torch::Tensor values = model->forward(memory.states.index_select(0, rows))
                                       .gather(1, memory.actions.index_select(0, rows))
                                       .squeeze(1);
      torch::smooth_l1_loss(values, goal).backward();
      torch::nn::utils::clip_grad_value_(model->parameters(), 100);
      optimizer->step();
      follow(0.005);
    }
    // The greedy policy goes up and down, so it is measured at ten points in the second half too.
    const int64_t left = steps - 1 - step;
    if (left > 0 && left % between == 0 && left / between <= 10) evaluate(20);
  }
  evaluate(100);
  Result result;
  result.merit = total / static_cast<double>(episodes);  // the mean return
  return result;
}

}  // namespace drop_in
