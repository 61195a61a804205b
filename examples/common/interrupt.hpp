// SPDX-License-Identifier: Apache-2.0
// Stopping a training on SIGINT (Ctrl-C) and SIGTERM between two steps instead of inside one.
#pragma once

#include <signal.h>

#include <stdexcept>
#include <string>

namespace examples {

// Thrown by train() when a signal has stopped it and the checkpoint is written.
class Interrupted : public std::runtime_error {
 public:
  Interrupted(int signal, const std::string& checkpoint_file);
  int signal() const { return signal_; }

 private:
  int signal_;
};

// While it lives, the first SIGINT or SIGTERM is only remembered; a second one of the same kind
// ends the program at once, as without this scope. One scope at a time.
class SignalScope {
 public:
  SignalScope();
  ~SignalScope();
  SignalScope(const SignalScope&) = delete;
  SignalScope& operator=(const SignalScope&) = delete;

  // The number of the signal that has arrived since the constructor, 0 if none.
  int received() const;

 private:
  struct sigaction old_int_, old_term_;
};

}  // namespace examples
