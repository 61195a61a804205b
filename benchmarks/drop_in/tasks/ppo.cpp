// SPDX-License-Identifier: Apache-2.0
// Proximal policy optimization (Schulman et al., 2017) on the cart-pole problem: sixteen carts at a
// time, generalized advantages, clipped objective, gradients clipped by norm, Adam with a rate that
// falls linearly to zero.
#include <torch/torch.h>

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

// Rows of the actor's and the critic's networks, with the usual orthogonal initialisation.
torch::nn::Linear ppo_layer(int64_t inputs, int64_t outputs, double gain) {
  torch::nn::Linear layer(inputs, outputs);
  torch::nn::init::orthogonal_(layer->weight, gain);
  torch::nn::init::zeros_(layer->bias);
  return layer;
}

torch::nn::Sequential ppo_network(int64_t outputs, double last_gain) {
  const double gain = std::sqrt(2.0);
  return torch::nn::Sequential(ppo_layer(4, 64, gain), torch::nn::Tanh(), ppo_layer(64, 64, gain),
                               torch::nn::Tanh(), ppo_layer(64, outputs, last_gain));
}

struct PpoAgentImpl : torch::nn::Module {
  PpoAgentImpl()
      : actor(register_module("actor", ppo_network(2, 0.01))),
        critic(register_module("critic", ppo_network(1, 1))) {}
  torch::nn::Sequential actor, critic;  // [n, 4] -> logits [n, 2]; [n, 4] -> values [n, 1]
};
TORCH_MODULE(PpoAgent);

constexpr int64_t kCarts = 16;
constexpr int64_t kRolloutSteps = 64;

// What the policy did in kRolloutSteps steps of kCarts carts.
struct Rollout {
  torch::Tensor states = torch::zeros({kRolloutSteps + 1, kCarts, 4});
  torch::Tensor actions = torch::zeros({kRolloutSteps, kCarts}, torch::kInt64);
  torch::Tensor over = torch::zeros({kRolloutSteps, kCarts});  // 1 if the episode ended there
};

// Plays the policy, with actions drawn from it. Every step is rewarded with 1.
void ppo_play(PpoAgent& agent, std::vector<CartPole>& carts, std::mt19937_64& random,
              Rollout& rollout) {
  const torch::NoGradGuard no_grad;
  std::uniform_real_distribution<double> uniform(0, 1);
  float* state = rollout.states.data_ptr<float>();
  int64_t* action = rollout.actions.data_ptr<int64_t>();
  float* over = rollout.over.data_ptr<float>();
  for (int64_t step = 0; step <= kRolloutSteps; ++step) {
    for (const CartPole& cart : carts) {
      cart.write(state);
      state += 4;
    }
    if (step == kRolloutSteps) return;
    const torch::Tensor right = torch::softmax(agent->actor->forward(rollout.states[step]), 1);
    const float* probability = right.const_data_ptr<float>();
    for (CartPole& cart : carts) {
      *action = uniform(random) < probability[1] ? 1 : 0;
      probability += 2;
      cart.push(/*right=*/*action++ == 1);
      *over++ = cart.over() ? 1.0F : 0.0F;
      if (cart.over()) cart.reset(random);
    }
  }
}

// Returns the generalized advantages [kRolloutSteps, kCarts] (Schulman et al., 2016) for `values`
// [kRolloutSteps + 1, kCarts] of the states.
torch::Tensor ppo_advantages(const torch::Tensor& values, const torch::Tensor& over) {
  const double discount = 0.98, lambda = 0.95;
  torch::Tensor advantages = torch::zeros({kRolloutSteps, kCarts});
  torch::Tensor last = torch::zeros({kCarts});
  for (int64_t step = kRolloutSteps - 1; step >= 0; --step) {
    const torch::Tensor goes_on = 1 - over[step];
    const torch::Tensor surprise = 1 + discount * goes_on * values[step + 1] - values[step];
    last = surprise + discount * lambda * goes_on * last;
    advantages[step] = last;
  }
  return advantages;
}

// Returns the mean return of `episodes` episodes with the likeliest actions.
double ppo_mean_return(PpoAgent& agent, int64_t episodes, std::mt19937_64& random) {
  const torch::NoGradGuard no_grad;
  std::vector<CartPole> carts(static_cast<size_t>(episodes));
  for (CartPole& cart : carts) cart.reset(random);
  const torch::Tensor states = torch::zeros({episodes, 4});
  for (int step = 0; step < CartPole::kMaxSteps; ++step) {
    float* state = states.data_ptr<float>();
    for (const CartPole& cart : carts) {
      cart.write(state);
      state += 4;
    }
    const torch::Tensor logits = agent->actor->forward(states);
    const float* logit = logits.const_data_ptr<float>();
    for (CartPole& cart : carts) {
      if (!cart.over()) cart.push(/*right=*/logit[1] > logit[0]);
      logit += 2;
    }
  }
  double total = 0;
  for (const CartPole& cart : carts) total += cart.steps();
  return total / static_cast<double>(episodes);
}

// Trains one agent and returns the mean return over the training, measured at ten points.
double train_ppo_agent(const Run& run, uint64_t seed) {
  torch::manual_seed(seed);
  PpoAgent agent;
  const double lr = 1e-3;
  const auto optimizer = run.contender.make(
      agent->parameters(), torch::optim::AdamOptions(lr).eps(1e-5), /*examples=*/0);
  // Each has a generator of its own, so that what one optimizer's policy does shifts no other draw.
  std::mt19937_64 played(2 * seed), tested(2 * seed + 1);
  std::vector<CartPole> carts(kCarts);
  for (CartPole& cart : carts) cart.reset(played);
  Rollout rollout;
  double total = 0;
  const int64_t rollouts = 100, between = 10;
  for (int64_t round = 0; round < rollouts; ++round) {
    optimizer->set_lr(lr * (1 - static_cast<double>(round) / static_cast<double>(rollouts)));
    ppo_play(agent, carts, played, rollout);
    const torch::Tensor states = rollout.states.narrow(0, 0, kRolloutSteps).flatten(0, 1);
    const torch::Tensor actions = rollout.actions.flatten().unsqueeze(1);
    torch::Tensor old_log_probabilities, advantages, returns;
    {
      const torch::NoGradGuard no_grad;
      const torch::Tensor values = agent->critic->forward(rollout.states).squeeze(2);
      const torch::Tensor raw = ppo_advantages(values, rollout.over);
      returns = (raw + values.narrow(0, 0, kRolloutSteps)).flatten();
      advantages = ((raw - raw.mean()) / (raw.std() + 1e-8)).flatten();
      old_log_probabilities =
          torch::log_softmax(agent->actor->forward(states), 1).gather(1, actions).squeeze(1);
    }
    for (int epoch = 0; epoch < 4; ++epoch) {
      for (const torch::Tensor& rows : torch::randperm(states.size(0)).chunk(4)) {
        const torch::Tensor batch = states.index_select(0, rows);
        optimizer->zero_grad();
        const torch::Tensor all = torch::log_softmax(agent->actor->forward(batch), 1);
        const torch::Tensor ours = all.gather(1, actions.index_select(0, rows)).squeeze(1);
        const torch::Tensor ratio = torch::exp(ours - old_log_probabilities.index_select(0, rows));
        const torch::Tensor advantage = advantages.index_select(0, rows);
        const torch::Tensor gain =
            torch::min(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage).mean();
        const torch::Tensor entropy = -(all.exp() * all).sum(1).mean();
        const torch::Tensor value_loss = torch::mse_loss(agent->critic->forward(batch).squeeze(1),
                                                         returns.index_select(0, rows));
        (0.5 * value_loss - gain - 0.01 * entropy).backward();
        torch::nn::utils::clip_grad_norm_(agent->parameters(), 0.5);
        optimizer->step();
      }
    }
    if ((round + 1) % between == 0) {
      optimizer->eval();
      total += ppo_mean_return(agent, 50, tested);
      optimizer->train();
    }
  }
  return total * between / static_cast<double>(rollouts);
}

}  // namespace

Result train_ppo(const Run& run) {
  // One training depends much on its first episodes, so a run is the mean of many.
  const int64_t agents = run.scaled(40);
  double total = 0;
  for (int64_t agent = 0; agent < agents; ++agent) {
    total += train_ppo_agent(run, 1000 * run.seed + static_cast<uint64_t>(agent));
  }
  Result result;
  result.merit = total / static_cast<double>(agents);
  return result;
}

}  // namespace drop_in
