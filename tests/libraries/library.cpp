// SPDX-License-Identifier: Apache-2.0
// A shared library that trains with ivon, behind functions with C linkage. Built several times:
// with another version of ivon, and with hidden visibility. See libraries_test.cpp.
#include <cstdio>
#include <ivon/optimizer.hpp>
#include <memory>
#include <optional>

#define IVON_TEST_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

struct User {
  torch::Tensor weight;
  ivon::IVON<> optimizer;
  std::optional<ivon::SampledParams> sample;

  explicit User(const torch::Tensor& parameter)
      : weight(parameter),
        optimizer({parameter}, ivon::IVONOptions(0.1).ess(100).beta2(0.9).hess_clip(1e3)) {
    optimizer.manual_seed(1);
  }
};

}  // namespace

IVON_TEST_EXPORT const char* version() { return ivon::kVersion; }

IVON_TEST_EXPORT void* make_user(const torch::Tensor* parameter) { return new User(*parameter); }
IVON_TEST_EXPORT void destroy_user(void* user) { delete static_cast<User*>(user); }

// Opens a scope; false, with the error's text in `message`, where that is refused.
IVON_TEST_EXPORT bool show_sample(void* user, char* message, size_t size) {
  auto& self = *static_cast<User*>(user);
  try {
    self.sample.emplace(self.optimizer.sampled_params());
    return true;
  } catch (const c10::Error& error) {
    std::snprintf(message, size, "%s", error.what_without_backtrace());
    return false;
  }
}
IVON_TEST_EXPORT void hide_sample(void* user) { static_cast<User*>(user)->sample.reset(); }

IVON_TEST_EXPORT void train(void* user, int steps) {
  auto& self = *static_cast<User*>(user);
  for (int i = 0; i < steps; ++i) {
    self.optimizer.zero_grad();
    {
      const auto sample = self.optimizer.sampled_params();
      self.weight.mutable_grad() = self.weight.detach() * 2;
    }
    self.optimizer.step();
  }
}
