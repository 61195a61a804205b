// SPDX-License-Identifier: Apache-2.0
// Small helpers that several test files share: exact comparison, error messages, seeds.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "instances.hpp"

namespace ivon_test {

// The seed of every test that does not choose its own; fixed, so that a failure repeats.
inline constexpr uint64_t kSeed = 20240227;

// Where tests that run on every device put their tensors: the environment variable IVON_TEST_DEVICE
// (cpu or cuda).
inline at::Device device() {
  const char* wanted = std::getenv("IVON_TEST_DEVICE");
  return at::Device(wanted != nullptr && *wanted != '\0' ? wanted : "cpu");
}

// Text of the c10::Error that `call` throws, without the stack trace; empty when it throws nothing.
template <class Call>
std::string message_of(Call&& call) {
  try {
    call();
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  }
  return {};
}

// Same dtype, shape and bits (NaN equals the same NaN, 0 differs from -0); strides may differ.
inline bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  if (!a.defined() || !b.defined()) return a.defined() == b.defined();
  if (a.scalar_type() != b.scalar_type() || a.sizes() != b.sizes()) return false;
  const auto x = a.detach().cpu().contiguous();
  const auto y = b.detach().cpu().contiguous();
  return x.nbytes() == 0 || std::memcmp(x.const_data_ptr(), y.const_data_ptr(), x.nbytes()) == 0;
}

// Largest |actual - expected| over the largest |expected| (1 when that is 0); inf where actual is
// not finite.
inline double relative_error(const at::Tensor& actual, const at::Tensor& expected) {
  const auto a = actual.detach().cpu().to(at::kDouble);
  const auto e = expected.detach().cpu().to(at::kDouble);
  if (a.numel() == 0) return 0;
  if (!a.isfinite().all().item<bool>()) return HUGE_VAL;
  const double scale = e.abs().max().item<double>();
  return (a - e).abs().max().item<double>() / (scale > 0 ? scale : 1);
}

// LibTorch's thread pool at one thread while it lives. For tests of many tiny operations: on a busy
// machine every barrier costs milliseconds, ten times the work.
class OneThread {
 public:
  OneThread() { at::set_num_threads(1); }
  ~OneThread() { at::set_num_threads(before_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_ = at::get_num_threads();
};

}  // namespace ivon_test

// `statement` throws a c10::Error whose text contains `text`.
#define IVON_EXPECT_ERROR(statement, text)                                                     \
  do {                                                                                         \
    const std::string ivon_message = ::ivon_test::message_of([&] { statement; });              \
    EXPECT_NE(ivon_message.find(text), std::string::npos) << "got: \"" << ivon_message << '"'; \
  } while (false)
