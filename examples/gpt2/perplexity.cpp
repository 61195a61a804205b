// SPDX-License-Identifier: Apache-2.0
// The command perplexity.
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

struct Text {
  torch::Tensor ids;  // int64 [n]
  double bytes_per_token;
};

// Throws std::runtime_error for a text of fewer than two tokens.
Text tokens_of_text(const examples::Tokenizer& tokenizer, const Settings& s) {
  const std::string text = read_text(s.text.text).text;
  const std::vector<examples::TokenId> ids =
      examples::encode_in_parallel(tokenizer, text, s.common.threads);
  if (ids.size() < 2) {
    throw std::runtime_error(
        fmt::format("the text must have two tokens or more, but has {}; give a longer one with "
                    "--text",
                    ids.size()));
  }
  return {torch::tensor(ids, torch::kInt).to(torch::kLong),
          static_cast<double>(text.size()) / static_cast<double>(ids.size())};
}

// A line {"token", "text", "log_probability"[, "log_probability_averaged"]} for each token but the
// first.
void write_records(examples::AtomicFile& file, const examples::Tokenizer& tokenizer,
                   const torch::Tensor& ids, const torch::Tensor& mean,
                   const torch::Tensor& averaged) {
  const auto* id = ids.data_ptr<int64_t>() + 1;
  for (int64_t i = 0; i < mean.size(0); ++i, ++id) {
    Json line = {{"token", *id},
                 {"text", valid_utf8(tokenizer.bytes(static_cast<examples::TokenId>(*id)))},
                 {"log_probability", mean.data_ptr<float>()[i]}};
    if (averaged.defined()) line["log_probability_averaged"] = averaged.data_ptr<float>()[i];
    const std::string text = line.dump() + "\n";
    file.write(text.data(), text.size());
  }
  file.commit();
}

void print_loss(const char* weights, double loss, double bytes_per_token) {
  fmt::print("{:<28} loss {:.4f}, perplexity {:.3f}, bits per byte {:.4f}\n", weights, loss,
             std::exp(loss), loss / std::log(2) / bytes_per_token);
}

}  // namespace

void perplexity(const Settings& s, const examples::Settings& list) {
  TrainedModel trained = load_model(s.trained, s.text.vocabulary, torch::Device(s.common.device));
  const auto [ids, bytes_per_token] = tokens_of_text(*trained.tokenizer, s);
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
  fmt::print("{} tokens, windows of {} tokens with stride {}\n", mean.size(0), context, stride);
  print_loss("at the mean", mean_loss(mean), bytes_per_token);
  Json result = {{"tokens", mean.size(0)}, {"loss", mean_loss(mean)}};
  if (averaged.defined()) {
    print_loss(fmt::format("averaged over {} samples", s.common.samples).c_str(),
               mean_loss(averaged), bytes_per_token);
    result["loss_averaged"] = mean_loss(averaged);
  }
  examples::write_results(s.common.out, {{"settings", list.to_json()}, {"runs", {result}}});
  if (!s.json.empty()) {
    examples::AtomicFile file(s.json);
    write_records(file, *trained.tokenizer, ids, mean, averaged);
    fmt::print("A line for each token is in {}\n", s.json);
  }
}

}  // namespace gpt2
