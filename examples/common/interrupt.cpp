// SPDX-License-Identifier: Apache-2.0
#include "common/interrupt.hpp"

#include <fmt/format.h>

namespace examples {
namespace {

volatile sig_atomic_t received_signal = 0;

// Called by the system at any moment, so it only stores a number.
void remember(int signal) { received_signal = signal; }

std::string signal_name(int signal) {
  if (signal == SIGINT) return "SIGINT";
  return signal == SIGTERM ? "SIGTERM" : fmt::format("signal {}", signal);
}

}  // namespace

Interrupted::Interrupted(int signal, const std::string& checkpoint_file)
    : std::runtime_error(
          fmt::format("stopped by {}; {} is written", signal_name(signal), checkpoint_file)),
      signal_(signal) {}

SignalScope::SignalScope() {
  received_signal = 0;
  struct sigaction action = {};
  action.sa_handler = remember;
  action.sa_flags = SA_RESETHAND | SA_RESTART;  // a second signal ends the program
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &old_int_);
  sigaction(SIGTERM, &action, &old_term_);
}

SignalScope::~SignalScope() {
  sigaction(SIGINT, &old_int_, nullptr);
  sigaction(SIGTERM, &old_term_, nullptr);
}

int SignalScope::received() const { return received_signal; }

}  // namespace examples
