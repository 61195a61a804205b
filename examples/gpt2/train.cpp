// SPDX-License-Identifier: Apache-2.0
// The command train.
#include <fmt/format.h>
#include <torch/torch.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <ivon/diagnostics.hpp>
#include <sstream>

#include "commands.hpp"
#include "common/memory.hpp"
#include "common/run_log.hpp"
#include "model_folder.hpp"
#include "training.hpp"

namespace gpt2 {
namespace {

std::shared_ptr<examples::Gpt2> new_model(const Settings& s, int64_t seed) {
  torch::manual_seed(static_cast<uint64_t>(seed));
  auto model = std::make_shared<examples::Gpt2>(s.model);
  model->to(torch::Device(s.common.device));
  return model;
}

// Some text after a line end, from the weights at the mean.
void print_preview(const Settings& s, examples::Gpt2& model, const examples::Tokenizer& tokenizer,
                   int64_t seed) {
  if (s.training.preview == 0) return;
  GenerateSettings generated = s.generate;
  generated.generation.max_tokens = s.training.preview;
  generated.generation.seed = static_cast<uint64_t>(seed);
  fmt::print("\nText that the model makes up:\n");
  std::fflush(stdout);
  generate(generated, model, nullptr, tokenizer);
}

examples::Json train_one(const Settings& s, const examples::Settings& list, const TextData& data,
                         int64_t seed, examples::RunLog& log) {
  const auto model = new_model(s, seed);
  fmt::print("{} parameters\n", examples::parameter_count(*model));
  examples::Json fingerprint = list.fingerprint();
  fingerprint["vocabulary tokens"] = s.model.vocabulary;
  fingerprint["training tokens"] = data.train.size();
  const Run run{s, seed, fingerprint, log};
  const Task task = next_token_task(*model, data, s.training.measured, seed, s.common.bf16);
  const Trained trained = train_model(*model, task, run);
  const double peak = examples::peak_memory_gib();
  std::optional<ivon::Posterior> posterior = posterior_of(*trained.optimizer, *model, seed);
  const std::filesystem::path folder =
      std::filesystem::path(s.common.out) / fmt::format("{}-{}", s.optimizer.name, seed);
  save_model(folder, *model, *data.tokenizer, posterior);
  const Validation validation =
      validate(*model, posterior, data, s.training.scored, s.common.samples, s.common.bf16);
  const double tokens = static_cast<double>(s.training.iterations * s.training.batch *
                                            s.training.accumulate * s.model.context);
  fmt::print("Saved in {}. {:.0f} tokens/s, peak memory {:.2f} GiB.\nValidation loss {}\n",
             folder.string(), tokens / trained.seconds, peak,
             description(validation, s.common.samples));
  examples::Json result = {{"seed", seed},
                           {"seconds", trained.seconds},
                           {"tokens_per_second", tokens / trained.seconds},
                           {"peak_memory_gib", peak},
                           {"training_loss", trained.loss},
                           {"validation_loss", validation.mean}};
  if (validation.averaged) {
    result["validation_loss_averaged"] = *validation.averaged;
    std::ostringstream diagnostics;
    diagnostics << ivon::diagnostics(*examples::as_ivon(*trained.optimizer));
    fmt::print("\n{}\n", diagnostics.str());
    result["diagnostics"] = diagnostics.str();
  }
  examples::write_results(folder, {{"settings", list.to_json()}, {"runs", {result}}});
  if (std::isfinite(validation.mean)) {
    print_preview(s, *model, *data.tokenizer, seed);
  } else {
    fmt::print(stderr, "warning: the training has diverged (loss {}); choose a smaller --lr\n",
               validation.mean);
  }
  return result;
}

}  // namespace

void train(Settings& s, const examples::Settings& list) {
  check_training_settings(s);
  std::filesystem::path folder = s.training.data;
  if (folder.empty()) {
    folder = std::filesystem::path(s.common.out) / "data";
    prepare_text_once(s.text, folder, s.common.threads);
  }
  const TextData data = open_text_data(folder);
  s.model.vocabulary = data.tokenizer->size();
  fmt::print("{}: {} training and {} validation tokens\n", folder.string(), data.train.size(),
             data.validation.size());
  examples::RunLog log(s.common.out, s.common.resume);
  examples::Json runs = examples::Json::array();
  for (int64_t i = 0; i < s.common.seeds; ++i) {
    runs.push_back(train_one(s, list, data, s.common.seed + i, log));
    // Written after each seed, so that an error later on loses no result.
    examples::write_results(s.common.out, {{"settings", list.to_json()}, {"runs", runs}});
  }
}

}  // namespace gpt2
