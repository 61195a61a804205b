// SPDX-License-Identifier: Apache-2.0
// What the programs have in common that a script lets take turns with Python: requests and answers
// in JSON, a line each.
#pragma once

#include <torch/torch.h>
#include <torch/version.h>

#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/memory.hpp"  // of the examples

namespace benchmark_common {

using Json = nlohmann::ordered_json;

// The largest resident size of this process so far.
inline double peak_mib() { return 1024 * examples::peak_memory_gib(); }

// Uses as many threads as the request has in "threads", or as before where it has none.
inline void set_threads(const Json& request) {
  at::set_num_threads(request.value("threads", at::get_num_threads()));
}

// The answer to {"do":"about"}.
inline Json about_libtorch() {
  return {{"libtorch", TORCH_VERSION},
          {"cpu_capability", at::get_cpu_capability()},
          {"threads", at::get_num_threads()},
          {"peak_mib", peak_mib()}};
}

// The answer to {"do":"steps"}, from the seconds of each step.
inline Json steps_answer(const std::vector<double>& seconds) {
  double sum = 0;
  Json milliseconds = Json::array();
  for (const double each : seconds) {
    sum += each;
    milliseconds.push_back(1000 * each);
  }
  return {{"seconds", sum}, {"milliseconds", milliseconds}, {"peak_mib", peak_mib()}};
}

// Answers each line of standard input, a request in JSON, by one line of JSON on standard output
// until the input ends: by requests.answer(request), or {"error": TEXT} where that throws.
template <class Requests>
void answer_requests(Requests requests) {
  for (std::string line; std::getline(std::cin, line);) {
    Json result;
    try {
      result = requests.answer(Json::parse(line));
    } catch (const std::exception& error) {
      result = {{"error", error.what()}};
    }
    std::cout << result.dump() << std::endl;
  }
}

}  // namespace benchmark_common
