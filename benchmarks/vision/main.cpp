// SPDX-License-Identifier: Apache-2.0
// Image training that is timed on request, so that a script can let it take turns with Python.
//
// Each line of standard input is a request in JSON, and each is answered by one line of JSON on
// standard output, which is {"error": TEXT} where something is wrong. compare.py makes the
// requests, and python_side.py answers the same ones:
//   {"do":"about"}
//   {"do":"open","model":"resnet50","side":224,"batch":16,"optimizer":"adamw","channels_last":true,
//    "bf16":false,"threads":2}
//   {"do":"steps","count":5}
//   {"do":"loader","folder":DIR,"side":224,"batch":64,"workers":2,"epochs":1}
//   {"do":"epoch","folder":DIR,"workers":2,"epochs":1}     with side and batch of "open"
//   {"do":"decode","folder":DIR,"count":100,"side":224}
#include <torch/torch.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include "benchmarks/common/requests.hpp"
#include "loading.hpp"
#include "training.hpp"

namespace vision_benchmark {
namespace {

using benchmark_common::Json;
using benchmark_common::peak_mib;

Json to_json(const Timed& timed) {
  return {{"images", timed.images},
          {"seconds", timed.seconds},
          {"images_per_second", static_cast<double>(timed.images) / timed.seconds},
          {"waited", timed.waited},
          {"peak_mib", peak_mib()}};
}

class Requests {
 public:
  Json answer(const Json& request) {
    const auto what = request.at("do").get<std::string>();
    if (what == "about") return benchmark_common::about_libtorch();
    if (what == "open") return open(request);
    if (what == "steps") return steps(request);
    if (what == "loader") return load(request);
    if (what == "epoch") return epoch(request);
    if (what == "decode") return decode(request);
    throw std::invalid_argument("\"do\" must be about, open, steps, loader, epoch or decode, got " +
                                what);
  }

 private:
  Json open(const Json& request) {
    TrainingSettings s;
    s.model = request.at("model").get<std::string>();
    s.side = request.at("side").get<int64_t>();
    s.batch = request.at("batch").get<int64_t>();
    s.optimizer = request.value("optimizer", s.optimizer);
    s.channels_last = request.value("channels_last", s.channels_last);
    s.bf16 = request.value("bf16", s.bf16);
    benchmark_common::set_threads(request);
    training_.reset();
    training_ = std::make_unique<Training>(s);
    return {{"threads", at::get_num_threads()}, {"peak_mib", peak_mib()}};
  }

  Json steps(const Json& request) {
    return benchmark_common::steps_answer(training().steps(request.at("count").get<int64_t>()));
  }

  // Each batch is made float32 and standardised too, which torchvision's usual transforms do in the
  // loader.
  Json load(const Json& request) {
    const LoadingSettings s = loading_settings(request, request.at("side").get<int64_t>(),
                                               request.at("batch").get<int64_t>());
    const image_classification::Standardisation standardise(
        image_classification::kImageNetMean, image_classification::kImageNetDeviation, torch::kCPU,
        /*channels_last_order=*/true);
    const auto use = [&](const examples::ImageBatch& batch) { standardise(batch.images); };
    return to_json(loading(s).epochs(request.value("epochs", int64_t{1}), use));
  }

  Json epoch(const Json& request) {
    Training& used = training();
    const LoadingSettings s =
        loading_settings(request, used.settings().side, used.settings().batch);
    const auto train = [&](const examples::ImageBatch& batch) {
      used.step(batch.images, batch.targets);
    };
    return to_json(loading(s).epochs(request.value("epochs", int64_t{1}), train));
  }

  static Json decode(const Json& request) {
    const auto folder = request.at("folder").get<std::string>();
    const auto count = request.at("count").get<int64_t>();
    const Timed crops = decode_crops(folder, count, request.value("side", int64_t{224}));
    return {{"crop", to_json(crops)}, {"whole", to_json(decode_whole(folder, count))}};
  }

  static LoadingSettings loading_settings(const Json& request, int64_t side, int64_t batch) {
    return {request.at("folder").get<std::string>(), side, batch, request.value("workers", 2)};
  }

  Training& training() {
    if (!training_) throw std::invalid_argument("there is no network yet; request \"open\" first");
    return *training_;
  }

  Loading& loading(const LoadingSettings& s) {
    if (!loading_ || !(loading_->settings() == s)) {
      loading_.reset();
      loading_ = std::make_unique<Loading>(s);
    }
    return *loading_;
  }

  std::unique_ptr<Training> training_;
  std::unique_ptr<Loading> loading_;
};

}  // namespace
}  // namespace vision_benchmark

int main() { benchmark_common::answer_requests(vision_benchmark::Requests()); }
