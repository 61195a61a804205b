// SPDX-License-Identifier: Apache-2.0
#include "memory.hpp"

#include <fstream>
#include <limits>
#include <string>

namespace ivon_benchmark {
namespace {

// A line "name:  123 kB" of a file of Linux's /proc.
int64_t read_entry(const char* file, const std::string& name) {
  std::ifstream in(file);
  std::string word;
  while (in >> word) {
    int64_t kibibytes = 0;
    if (word == name + ":" && in >> kibibytes) return kibibytes * 1024;
    in.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return 0;
}

}  // namespace

int64_t resident_bytes() { return read_entry("/proc/self/status", "VmRSS"); }
int64_t peak_resident_bytes() { return read_entry("/proc/self/status", "VmHWM"); }
int64_t available_bytes() { return read_entry("/proc/meminfo", "MemAvailable"); }

}  // namespace ivon_benchmark
