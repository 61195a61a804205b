// SPDX-License-Identifier: Apache-2.0
// The command evaluate.
#include <fmt/format.h>

#include "commands.hpp"
#include "common/atomic_file.hpp"
#include "common/data/image_views.hpp"
#include "evaluation.hpp"

namespace image_classification {

void evaluate_trained(const Settings& s, const examples::Settings& list) {
  Loaded loaded = load_network(s.trained, torch::Device(s.common.device), s.common.bf16);
  const Description& about = loaded.network.about;
  DataSets data = open_data(s.data, about.side);
  data.train = examples::with_channels(data.train, about.channels());
  data.test = examples::with_channels(data.test, about.channels());
  if (data.test->classes != about.classes) {
    throw std::runtime_error(
        fmt::format("{}: its classes must be those of {}; name with --data the kind of data that "
                    "it was trained on",
                    s.data.folder, s.trained));
  }
  const ImagesPtr outside = open_outside(s.data.outside, about.channels());
  if (!loaded.posterior) fmt::print("{} has no posterior.pt: only the mean is scored\n", s.trained);
  const Evaluation evaluation =
      evaluate(loaded.network, loaded.posterior, data, outside.get(), s.data, s.common.samples);
  fmt::print("{}\n", evaluation.table());
  const examples::Json results = {{"settings", list.to_json()}, {"scores", evaluation.to_json()}};
  // Not results.json, which the training has written where --out is the same.
  const std::filesystem::path out = s.common.out;
  std::filesystem::create_directories(out);
  examples::write_atomically(out / "evaluation.json", results.dump(2) + "\n");
}

}  // namespace image_classification
