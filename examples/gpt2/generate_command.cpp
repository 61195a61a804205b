// SPDX-License-Identifier: Apache-2.0
// The command generate.
#include <torch/torch.h>

#include "commands.hpp"
#include "generate.hpp"
#include "model_folder.hpp"

namespace gpt2 {

void generate(const Settings& s) {
  TrainedModel trained = load_model(s.trained, s.text.vocabulary, torch::Device(s.common.device));
  GenerateSettings settings = s.generate;
  settings.samples = s.common.samples;
  settings.generation.seed = static_cast<uint64_t>(s.common.seed);
  generate(settings, *trained.model, trained.posterior ? &*trained.posterior : nullptr,
           *trained.tokenizer);
}

}  // namespace gpt2
