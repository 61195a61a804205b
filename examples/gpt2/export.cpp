// SPDX-License-Identifier: Apache-2.0
// The command export.
#include <fmt/format.h>

#include <optional>
#include <stdexcept>

#include "commands.hpp"
#include "model_folder.hpp"

namespace gpt2 {

void export_model(const Settings& s) {
  check_other_folder(s.common.out, s.trained);
  TrainedModel trained = load_model(s.trained, s.text.vocabulary, torch::kCPU);
  std::optional<ivon::SampledParams> sample;
  if (s.export_sample) {
    if (!trained.posterior) {
      throw std::runtime_error(s.trained +
                               ": has no posterior.pt, so no sample can be drawn; leave --sample "
                               "out to write the weights themselves");
    }
    trained.posterior->manual_seed(static_cast<uint64_t>(s.common.seed));
    sample.emplace(trained.posterior->sampled_params(*trained.model));
  }
  save_model(s.common.out, *trained.model, *trained.tokenizer, {});
  fmt::print(
      "{0} holds config.json, model.safetensors and the vocabulary. In Python:\n"
      "  transformers.GPT2LMHeadModel.from_pretrained(\"{0}\")\n",
      s.common.out);
}

}  // namespace gpt2
