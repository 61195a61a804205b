// SPDX-License-Identifier: Apache-2.0
#include "common/data/parallel_for.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace examples {
namespace {

struct ParallelState {
  std::atomic<int64_t> next{0}, done{0};
  std::mutex mutex;  // guards what follows
  std::condition_variable finished;
  int64_t running = 0;  // threads
  std::exception_ptr error;
};

void run_items(ParallelState& state, int64_t count, const std::function<void(int64_t)>& work) {
  try {
    for (int64_t i = state.next++; i < count; i = state.next++) {
      work(i);
      ++state.done;
    }
  } catch (...) {
    state.next = count;  // the other threads begin nothing more
    const std::lock_guard<std::mutex> lock(state.mutex);
    if (!state.error) state.error = std::current_exception();
  }
  const std::lock_guard<std::mutex> lock(state.mutex);
  if (--state.running == 0) state.finished.notify_all();
}

}  // namespace

void parallel_for(int64_t count, int threads, const std::function<void(int64_t index)>& work,
                  std::chrono::milliseconds interval,
                  const std::function<void(int64_t done)>& report) {
  ParallelState state;
  state.running = std::clamp<int64_t>(count, 1, std::max(threads, 1));
  int64_t missing = state.running;
  std::vector<std::thread> all;
  all.reserve(static_cast<size_t>(missing));
  try {
    for (; missing > 0; --missing) {
      all.emplace_back([&] { run_items(state, count, work); });
    }
  } catch (const std::exception&) {
    const std::lock_guard<std::mutex> lock(state.mutex);
    state.running -= all.empty() ? missing - 1 : missing;
  }
  if (all.empty()) run_items(state, count, work);
  {
    std::unique_lock<std::mutex> lock(state.mutex);
    while (!state.finished.wait_for(lock, interval, [&] { return state.running == 0; })) {
      report(state.done);
    }
  }
  for (std::thread& thread : all) thread.join();
  if (state.error) std::rethrow_exception(state.error);
}

}  // namespace examples
