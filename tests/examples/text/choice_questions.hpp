// SPDX-License-Identifier: Apache-2.0
// A tokenizer of bytes, a small model and questions, for the tests of choices.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "common/models/gpt2.hpp"
#include "common/text/tokenizer.hpp"
#include "gpt2/choice_tokens.hpp"

namespace examples_test {

// A token is a byte.
struct ByteTokenizer : examples::Tokenizer {
  int64_t size() const override { return 256; }
  void encode(std::string_view text, std::vector<examples::TokenId>& ids) const override {
    for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
  }
  std::string_view bytes(examples::TokenId) const override { return {}; }
  std::optional<examples::TokenId> end_of_text() const override { return {}; }
  void save(const std::filesystem::path&) const override {}
};

constexpr int64_t kChoiceContext = 16;

// With larger weights than a new model has, so that the choices' probabilities differ.
inline examples::Gpt2 model_of_choices() {
  torch::manual_seed(5);
  examples::Gpt2Options options;
  options.layers = 2;
  options.heads = 2;
  options.width = 16;
  options.context = kChoiceContext;
  options.vocabulary = 256;
  examples::Gpt2 model(options);
  const torch::NoGradGuard no_grad;
  for (torch::Tensor& p : model.parameters()) p.add_(torch::randn_like(p), 0.3);
  return model;
}

inline std::vector<gpt2::TokenQuestion> token_questions() {
  const std::vector<gpt2::Question> questions = {
      {"One and", {" two", " x", " three"}, 0},
      {"b", {"ed", "id"}, 1},
      {"A longer text", {" a", " b"}, 1},
      {"This text is far too long", {" of course", "."}, 0},
      {"c", {"at", "ow", "ut", "ar"}, 3},
  };
  return gpt2::encode_questions(questions, ByteTokenizer(), kChoiceContext).questions;
}

}  // namespace examples_test
