// SPDX-License-Identifier: Apache-2.0
#include "generation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <stdexcept>
#include <utility>

namespace gpt2 {
namespace {

using examples::TokenId;

// A text that is being written.
class TextInProgress {
 public:
  TextInProgress(const examples::Tokenizer& tokenizer, const GenerationSettings& settings,
                 uint64_t number, TokenCallback callback)
      : tokenizer_(tokenizer),
        sampling_(settings.sampling),
        stop_(settings.stop),
        random_(settings.seed, 0, number),
        callback_(std::move(callback)) {}

  bool has_ended() const { return ended_; }

  // Draws the next token and returns it. Returns nothing where the text ends instead.
  std::optional<TokenId> draw(const TokenPrediction& prediction) {
    const TokenId id = choose_token(prediction.probabilities, sampling_, random_);
    if (tokenizer_.end_of_text() == id) {
      ended_ = true;
      return {};
    }
    take(stop_.add({id, std::string(tokenizer_.bytes(id)),
                    prediction.probabilities[static_cast<size_t>(id)], prediction.entropy,
                    prediction.mutual_information}));
    ended_ = stop_.found();
    if (ended_) return {};
    return id;
  }

  // The whole text. To be called once, at the end.
  GeneratedText finish() {
    take(stop_.finish());
    if (!result_.tokens.empty()) {
      const auto count = static_cast<double>(result_.tokens.size());
      result_.negative_log_probability /= count;
      result_.mutual_information /= count;
    }
    return std::move(result_);
  }

 private:
  // Adds tokens to the text and its sums.
  void take(const std::vector<GeneratedToken>& tokens) {
    for (const GeneratedToken& token : tokens) {
      result_.tokens.push_back(token.id);
      result_.text += token.bytes;
      result_.negative_log_probability -= std::log(token.probability);
      result_.mutual_information += token.mutual_information;
      if (callback_) callback_(token);
    }
  }

  const examples::Tokenizer& tokenizer_;
  Sampling sampling_;
  StopText stop_;
  examples::ExampleRandom random_;
  TokenCallback callback_;
  GeneratedText result_;  // until finish(), with sums in place of the means
  bool ended_ = false;
};

// The prediction for text `row` of probabilities [members, n, vocabulary], over the tokens that the
// tokenizer knows.
TokenPrediction text_row_prediction(const torch::Tensor& probabilities, int64_t row,
                                    const examples::Tokenizer& tokenizer, bool uncertainty) {
  const int64_t known = std::min(probabilities.size(2), tokenizer.size());
  const float* first = probabilities.const_data_ptr<float>() + row * probabilities.size(2);
  return token_prediction(first, static_cast<size_t>(probabilities.size(0)),
                          static_cast<size_t>(probabilities.stride(0)), static_cast<size_t>(known),
                          uncertainty);
}

std::vector<GeneratedText> generate_batch_of_texts(const NextProbabilities& next,
                                                   const examples::Tokenizer& tokenizer,
                                                   const std::vector<TokenId>& prompt,
                                                   const GenerationSettings& settings,
                                                   int64_t count, const TokenCallback& callback) {
  check_generation(prompt, settings, count);
  std::vector<TextInProgress> texts;
  for (int64_t row = 0; row < count; ++row) {
    texts.emplace_back(tokenizer, settings, static_cast<uint64_t>(row), callback);
  }
  const std::vector<int64_t> ids(prompt.begin(), prompt.end());
  torch::Tensor tokens = torch::tensor(ids, torch::kLong).repeat({count, 1});  // [count, t]
  for (int64_t step = 0; step < settings.max_tokens; ++step) {
    const torch::Tensor probabilities = next(tokens).contiguous();
    // A text that has ended stays in the batch with a token that means nothing.
    std::vector<int64_t> drawn(static_cast<size_t>(count), ids.back());
    bool all_ended = true;
    for (size_t row = 0; row < texts.size(); ++row) {
      if (texts[row].has_ended()) continue;
      const auto id = texts[row].draw(text_row_prediction(probabilities, static_cast<int64_t>(row),
                                                          tokenizer, settings.uncertainty));
      if (id) drawn[row] = *id;
      all_ended = all_ended && texts[row].has_ended();
    }
    if (all_ended) break;
    tokens = torch::tensor(drawn, torch::kLong).unsqueeze(1);
  }
  std::vector<GeneratedText> results;
  for (TextInProgress& text : texts) results.push_back(text.finish());
  return results;
}

}  // namespace

void check_generation(const std::vector<TokenId>& prompt, const GenerationSettings& s,
                      int64_t count) {
  check_sampling(s.sampling);
  if (prompt.empty()) {
    throw std::invalid_argument(
        "generation: the prompt must have at least 1 token, but has 0; begin with a text, or with "
        "the token that separates documents");
  }
  if (s.max_tokens < 0 || count < 1) {
    throw std::invalid_argument(fmt::format(
        "generation: the number of tokens must be >= 0 and that of texts >= 1, but they are {} and "
        "{}; give other numbers",
        s.max_tokens, count));
  }
}

GeneratedText generate_text(const NextProbabilities& next, const examples::Tokenizer& tokenizer,
                            const std::vector<TokenId>& prompt, const GenerationSettings& settings,
                            const TokenCallback& callback) {
  return generate_batch_of_texts(next, tokenizer, prompt, settings, 1, callback).front();
}

std::vector<GeneratedText> generate_texts(const NextProbabilities& next,
                                          const examples::Tokenizer& tokenizer,
                                          const std::vector<TokenId>& prompt,
                                          const GenerationSettings& settings, int64_t count) {
  return generate_batch_of_texts(next, tokenizer, prompt, settings, count, {});
}

}  // namespace gpt2
