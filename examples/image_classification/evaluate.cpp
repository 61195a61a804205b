// SPDX-License-Identifier: Apache-2.0
// The command evaluate.
#include <fmt/format.h>

#include "commands.hpp"
#include "common/run_log.hpp"
#include "evaluation.hpp"

namespace image_classification {

void evaluate_trained(const Settings& s, const examples::Settings& list) {
  Loaded loaded = load_network(s.trained, torch::Device(s.common.device), s.common.bf16);
  const Description& about = loaded.network.about;
  const DataSets data = open_data(s.data, about.side);
  if (data.test->classes != about.classes) {
    throw std::runtime_error(
        fmt::format("{}: its classes must be those of {}; name with --data the kind of data that "
                    "it was trained "
                    "on",
                    s.data.folder, s.trained));
  }
  ImagesPtr outside;
  if (!s.data.outside.empty()) outside = open_outside(s.data.outside, about.channels());
  examples::ImageTransform training_images;
  training_images.side = about.side;
  training_images.crop = about.crop();
  if (!loaded.posterior) fmt::print("{} has no posterior.pt: only the mean is scored\n", s.trained);
  const Evaluation evaluation = evaluate(loaded.network, loaded.posterior, data, outside.get(),
                                         training_images, s.data, s.common.samples);
  fmt::print("{}\n", evaluation.table());
  examples::write_results(s.common.out,
                          {{"settings", list.to_json()}, {"scores", evaluation.to_json()}});
}

}  // namespace image_classification
