// SPDX-License-Identifier: Apache-2.0
// A GPT-2's training steps, generation and tokenizer that are timed on request, so that a script
// can let them take turns with Python and C.
//
// Each line of standard input is a request in JSON, and each is answered by one line of JSON on
// standard output, which is {"error": TEXT} where something is wrong. compare.py makes the
// requests, and python_side.py answers the same ones:
//   {"do":"about"}
//   {"do":"open","layers":12,"heads":12,"width":768,"context":1024,"vocabulary":50257,"batch":4,
//    "tokens":64,"contender":"adamw","recompute":false,"threads":2}
//   {"do":"steps","count":5}
//   {"do":"generate","layers":12,...,"vocabulary":50257,"prompt":16,"count":128,"threads":2}
//   {"do":"encode","vocabulary":DIR,"text":FILE}
#include <torch/torch.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include "benchmarks/common/requests.hpp"
#include "encoding.hpp"
#include "generation.hpp"
#include "training.hpp"

namespace gpt2_benchmark {
namespace {

using benchmark_common::Json;
using benchmark_common::peak_mib;
using benchmark_common::set_threads;

examples::Gpt2Options model_options(const Json& request) {
  examples::Gpt2Options options;
  options.layers = request.at("layers").get<int64_t>();
  options.heads = request.at("heads").get<int64_t>();
  options.width = request.at("width").get<int64_t>();
  options.context = request.at("context").get<int64_t>();
  options.vocabulary = request.at("vocabulary").get<int64_t>();
  options.recompute = request.value("recompute", options.recompute);
  return options;
}

class Requests {
 public:
  Json answer(const Json& request) {
    const auto what = request.at("do").get<std::string>();
    if (what == "about") return benchmark_common::about_libtorch();
    if (what == "open") return open(request);
    if (what == "steps") return steps(request);
    if (what == "generate") return generate(request);
    if (what == "encode") return encode(request);
    throw std::invalid_argument("\"do\" must be about, open, steps, generate or encode, got " +
                                what);
  }

 private:
  Json open(const Json& request) {
    StepSettings settings;
    settings.model = model_options(request);
    settings.batch = request.at("batch").get<int64_t>();
    settings.tokens = request.at("tokens").get<int64_t>();
    settings.contender = request.value("contender", settings.contender);
    set_threads(request);
    training_.reset();
    training_ = std::make_unique<Training>(settings);
    return {{"threads", at::get_num_threads()},
            {"parameters", training_->parameters()},
            {"peak_mib", peak_mib()}};
  }

  Json steps(const Json& request) {
    if (!training_) throw std::invalid_argument("there is no model yet; request \"open\" first");
    return benchmark_common::steps_answer(training_->steps(request.at("count").get<int64_t>()));
  }

  Json generate(const Json& request) {
    set_threads(request);
    if (!generation_) generation_.emplace(model_options(request));
    const auto count = request.at("count").get<int64_t>();
    const double seconds = generation_->seconds(request.at("prompt").get<int64_t>(), count);
    return {{"tokens", count}, {"seconds", seconds}, {"peak_mib", peak_mib()}};
  }

  Json encode(const Json& request) {
    if (!encoding_) encoding_.emplace(request.at("vocabulary").get<std::string>());
    const Encoded encoded = encoding_->encode(request.at("text").get<std::string>());
    return {{"bytes", encoded.bytes},
            {"tokens", encoded.tokens},
            {"seconds", encoded.seconds},
            {"checksum", encoded.checksum}};
  }

  std::unique_ptr<Training> training_;
  std::optional<Generation> generation_;  // of the first request
  std::optional<Encoding> encoding_;      // of the first request
};

}  // namespace
}  // namespace gpt2_benchmark

int main() { benchmark_common::answer_requests(gpt2_benchmark::Requests()); }
