// SPDX-License-Identifier: Apache-2.0
// The commands perplexity and export.
#include <fmt/format.h>
#include <torch/torch.h>

#include <cmath>
#include <cstdio>
#include <stdexcept>

#include "commands.hpp"
#include "common/atomic_file.hpp"
#include "common/run_log.hpp"
#include "common/text/bpe_tokenizer.hpp"
#include "model_folder.hpp"
#include "scores.hpp"
#include "text_data.hpp"
#include "utf8_stream.hpp"

namespace gpt2 {
namespace {

using examples::Json;

// int64 [n]. Throws std::runtime_error for a text of fewer than two tokens.
torch::Tensor token_ids(const examples::Tokenizer& tokenizer, const Settings& s) {
  const std::vector<examples::TokenId> ids =
      examples::encode_in_parallel(tokenizer, read_text(s.text.text), s.common.threads);
  if (ids.size() < 2) {
    throw std::runtime_error(
        fmt::format("the text must have two tokens or more, but has {}; give a longer one with "
                    "--text",
                    ids.size()));
  }
  return torch::tensor(ids, torch::kInt).to(torch::kLong);
}

// A line {"token", "text", "log_probability"[, "log_probability_averaged"]} for each token but the
// first.
void write_records(const std::string& file, const examples::Tokenizer& tokenizer,
                   const torch::Tensor& ids, const torch::Tensor& mean,
                   const torch::Tensor& averaged) {
  std::string lines;
  for (int64_t i = 0; i < mean.size(0); ++i) {
    const auto id = static_cast<examples::TokenId>(ids[i + 1].item<int64_t>());
    Json line = {{"token", id},
                 {"text", valid_utf8(tokenizer.bytes(id))},
                 {"log_probability", mean[i].item<float>()}};
    if (averaged.defined()) line["log_probability_averaged"] = averaged[i].item<float>();
    lines += line.dump() + "\n";
  }
  examples::write_atomically(file, lines);
}

void print_loss(const char* weights, double loss, double bytes_per_token) {
  fmt::print("{:<28} loss {:.4f}, perplexity {:.3f}, bits per byte {:.4f}\n", weights, loss,
             std::exp(loss), loss / std::log(2) / bytes_per_token);
}

}  // namespace

void perplexity(const Settings& s, const examples::Settings& list) {
  TrainedModel trained = load_model(s.trained, s.text.vocabulary, torch::Device(s.common.device));
  const torch::Tensor ids = token_ids(*trained.tokenizer, s);
  const int64_t context = trained.model->options().context;
  const int64_t stride = s.stride > 0 ? s.stride : std::max<int64_t>(1, context / 2);
  if (stride > context) {
    throw std::invalid_argument(fmt::format(
        "--stride must be at most the model's context, {}, but is {}", context, stride));
  }
  const ScoredText text = strided_windows(ids, context, stride, torch::Device(s.common.device));
  const torch::Tensor mean = log_probabilities(*trained.model, text, s.common.bf16, "at the mean");
  torch::Tensor averaged;
  if (trained.posterior) {
    trained.posterior->manual_seed(static_cast<uint64_t>(s.common.seed));
    averaged = averaged_log_probabilities(*trained.model, *trained.posterior, s.common.samples,
                                          text, s.common.bf16, "samples");
  }
  const double bytes_per_token =
      static_cast<double>(read_text(s.text.text).size()) / static_cast<double>(ids.size(0));
  fmt::print("{} tokens, windows of {} tokens with stride {}\n", mean.size(0), context, stride);
  print_loss("at the mean", mean_loss(mean), bytes_per_token);
  Json result = {{"tokens", mean.size(0)}, {"loss", mean_loss(mean)}};
  if (averaged.defined()) {
    print_loss(fmt::format("averaged over {} samples", s.common.samples).c_str(),
               mean_loss(averaged), bytes_per_token);
    result["loss_averaged"] = mean_loss(averaged);
  }
  if (!s.json.empty()) {
    write_records(s.json, *trained.tokenizer, ids, mean, averaged);
    fmt::print("A line for each token is in {}\n", s.json);
  }
  examples::write_results(s.common.out, {{"settings", list.to_json()}, {"runs", {result}}});
}

void export_model(const Settings& s) {
  TrainedModel trained = load_model(s.trained, s.text.vocabulary, torch::kCPU);
  if (s.export_sample) {
    if (!trained.posterior) {
      throw std::runtime_error(s.trained +
                               ": has no posterior.pt, so no sample can be drawn; export the mean");
    }
    trained.posterior->manual_seed(static_cast<uint64_t>(s.common.seed));
    const auto sample = trained.posterior->sampled_params(*trained.model);
    save_model(s.common.out, *trained.model, *trained.tokenizer, {});
  } else {
    save_model(s.common.out, *trained.model, *trained.tokenizer, {});
  }
  fmt::print(
      "{0} holds config.json, model.safetensors and the vocabulary. In Python:\n"
      "  transformers.GPT2LMHeadModel.from_pretrained(\"{0}\")\n",
      s.common.out);
}

}  // namespace gpt2
