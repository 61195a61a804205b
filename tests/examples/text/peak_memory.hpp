// SPDX-License-Identifier: Apache-2.0
// How much memory a call needs at most.
#pragma once

#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <exception>

namespace examples_test {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kMeasuresMemory = false;  // sanitizers need memory themselves
#else
inline constexpr bool kMeasuresMemory = true;
#endif

inline int64_t peak_memory_bytes() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;  // Linux counts KiB
}

// The bytes by which the memory of a process grows at most while `call` runs, with the pages that
// it touches of mapped files. Runs it in a child process, whose peak begins at what is in use now.
// An exception of `call` ends it; where none is expected, let `call` return only if all is well and
// abort() otherwise, which is reported.
template <class Call>
int64_t bytes_needed_by(Call&& call) {
  int ends[2] = {};
  EXPECT_EQ(pipe(ends), 0);
  malloc_trim(0);  // free memory of this process would count as in use already
  const pid_t child = fork();
  EXPECT_GE(child, 0);
  if (child == 0) {
    const int64_t before = peak_memory_bytes();
    try {
      call();
    } catch (const std::exception&) {
    }
    const int64_t needed = peak_memory_bytes() - before;
    _exit(write(ends[1], &needed, sizeof needed) == sizeof needed ? 0 : 1);
  }
  close(ends[1]);
  int64_t needed = -1;
  EXPECT_EQ(read(ends[0], &needed, sizeof needed), int64_t{sizeof needed}) << "the call has ended";
  close(ends[0]);
  EXPECT_EQ(waitpid(child, nullptr, 0), child);
  return needed;
}

}  // namespace examples_test
