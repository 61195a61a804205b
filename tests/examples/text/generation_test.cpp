// SPDX-License-Identifier: Apache-2.0
// The generation of text in examples/gpt2: whole characters, the stop text, printing, ensembles of
// weights, and the command.
#include "gpt2/generation.hpp"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <ivon/posterior/posterior.hpp>
#include <memory>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/models/gpt2.hpp"
#include "gpt2/coloured_text.hpp"
#include "gpt2/ensemble.hpp"
#include "gpt2/generate.hpp"
#include "gpt2/utf8_stream.hpp"

namespace {

using gpt2::GeneratedToken;
using gpt2::StopText;
using torch::Tensor;

// The bytes of a token are given; the last token ends a document. encode() takes single bytes.
class GenerationTokens : public examples::Tokenizer {
 public:
  explicit GenerationTokens(std::vector<std::string> tokens) : tokens_(std::move(tokens)) {}
  int64_t size() const override { return static_cast<int64_t>(tokens_.size()) + 1; }
  void encode(std::string_view text, std::vector<examples::TokenId>& ids) const override {
    for (const char c : text) {
      const auto found = std::find(tokens_.begin(), tokens_.end(), std::string(1, c));
      ids.push_back(static_cast<examples::TokenId>(found - tokens_.begin()));
    }
  }
  std::string_view bytes(examples::TokenId id) const override {
    return tokens_.at(static_cast<size_t>(id));
  }
  std::optional<examples::TokenId> end_of_text() const override {
    return static_cast<examples::TokenId>(tokens_.size());
  }
  void save(const std::filesystem::path&) const override {}

 private:
  std::vector<std::string> tokens_;
};

const GenerationTokens& abc_tokens() {
  static const GenerationTokens tokens({"a", "b", "c"});
  return tokens;
}

// Two members that know four tokens and one that the tokenizer lacks. After token i they prefer
// token i + 1, the first member more than the second.
Tensor next_in_order(const Tensor& tokens) {
  const Tensor last = tokens.select(1, tokens.size(1) - 1);
  const Tensor wanted = torch::one_hot((last + 1) % 4, 5).to(torch::kFloat);  // [n, 5]
  return torch::stack({0.9 * wanted + 0.02, 0.5 * wanted + 0.1});
}

gpt2::GenerationSettings generation_of(double temperature, uint64_t seed) {
  gpt2::GenerationSettings s;
  s.max_tokens = 20;
  s.sampling.temperature = temperature;
  s.seed = seed;
  return s;
}

TEST(Generation, GreedyTakesTheMostProbableUntilTheDocumentEnds) {
  const auto text = gpt2::generate_text(next_in_order, abc_tokens(), {0}, generation_of(0, 1), {});
  EXPECT_EQ(text.text, "bc");
  EXPECT_EQ(text.tokens, (std::vector<examples::TokenId>{1, 2}));
  const double p = (0.92 / 0.98 + 0.6 / 0.9) / 2;  // without the token that the tokenizer lacks
  EXPECT_NEAR(text.negative_log_probability, -std::log(p), 1e-6);
  EXPECT_GT(text.mutual_information, 0.01);
}

TEST(Generation, FollowsFromTheSeed) {
  const auto text = [](uint64_t seed) {
    return gpt2::generate_text(next_in_order, abc_tokens(), {0}, generation_of(2, seed), {}).text;
  };
  EXPECT_EQ(text(1), text(1));
  std::vector<std::string> texts;
  for (uint64_t seed = 0; seed < 5; ++seed) texts.push_back(text(seed));
  EXPECT_NE(std::count(texts.begin(), texts.end(), texts[0]), 5);
}

TEST(Generation, ABatchBeginsWithTheSingleText) {
  const auto s = generation_of(1, 3);
  const auto texts = gpt2::generate_texts(next_in_order, abc_tokens(), {0, 1}, s, 4);
  ASSERT_EQ(texts.size(), 4U);
  EXPECT_EQ(texts[0].text, gpt2::generate_text(next_in_order, abc_tokens(), {0, 1}, s, {}).text);
  EXPECT_THROW(gpt2::generate_text(next_in_order, abc_tokens(), {}, s, {}), std::invalid_argument);
}

// The bytes of the tokens that come out of a StopText for "end", with | between those of add().
std::string without_stop_text(const std::vector<std::string>& tokens) {
  StopText stop("end");
  std::string result;
  const auto take = [&](const std::vector<GeneratedToken>& some) {
    for (const GeneratedToken& token : some) result += token.bytes;
    result += '|';
  };
  for (const std::string& token : tokens) take(stop.add({0, token}));
  take(stop.finish());
  return result;
}

TEST(StopText, IsNoticedAcrossTokens) {
  EXPECT_EQ(without_stop_text({"the e", "n", "d of"}), "||the ||");
  EXPECT_EQ(without_stop_text({"x", "en", "t", "e"}), "x||ent||e|");
  EXPECT_EQ(without_stop_text({"een", "d"}), "|e||");
  EXPECT_EQ(without_stop_text({"end", "more"}), "|||");
  EXPECT_EQ(without_stop_text({"a", "en", "en", "d"}), "a||en|||");
}

TEST(Utf8Stream, HoldsHalfCharactersBack) {
  gpt2::Utf8Stream stream;
  EXPECT_EQ(stream.add("a\xF0\x9F"), "a");
  EXPECT_EQ(stream.add("\x98"), "");
  EXPECT_EQ(stream.add("\x80!\xC3"), "\xF0\x9F\x98\x80!");
  EXPECT_EQ(stream.finish(), "\xEF\xBF\xBD");
  EXPECT_EQ(stream.finish(), "");
}

TEST(Utf8Stream, ReplacesWhatIsNoText) {
  const std::string r = "\xEF\xBF\xBD";
  EXPECT_EQ(gpt2::valid_utf8("\x80"
                             "a"),
            r + "a");
  EXPECT_EQ(gpt2::valid_utf8("\xF0\x9F"
                             "a"),
            r + "a");
  EXPECT_EQ(gpt2::valid_utf8("\xC0\xAF"), r + r);          // a long form of "/"
  EXPECT_EQ(gpt2::valid_utf8("\xED\xA0\x80"), r + r + r);  // a surrogate
  EXPECT_EQ(gpt2::code_points("\xF0\x9F\x98\x80\xE2\x82"), U"\U0001F600\uFFFD");
}

std::string printed_tokens(gpt2::TokenOutput output, const std::vector<GeneratedToken>& tokens) {
  std::ostringstream out;
  const auto printer = gpt2::token_printer(output, out);
  printer->begin("p");
  for (const GeneratedToken& token : tokens) printer->add(token);
  printer->finish();
  return out.str();
}

TEST(TokenPrinter, PrintsWholeCharactersOrJsonLines) {
  const std::vector<GeneratedToken> tokens = {{3, "\xC3", 0.5, 0.25, 0}, {4, "\xA9", 1, 0, 0}};
  EXPECT_EQ(printed_tokens(gpt2::TokenOutput::kPlain, tokens), "p\xC3\xA9\n");
  EXPECT_EQ(printed_tokens(gpt2::TokenOutput::kJson, {tokens[0]}),
            "{\"token\":3,\"text\":\"\xEF\xBF\xBD\",\"probability\":0.5,\"entropy\":0.25,"
            "\"mutual_information\":0.0}\n");
}

TEST(TokenPrinter, ColoursByEntropyAndUnderlinesDisagreement) {
  const auto coloured = [](const GeneratedToken& token) {
    const std::string text = printed_tokens(gpt2::TokenOutput::kColoured, {token});
    return text.substr(text.find("\np") + 2);
  };
  EXPECT_EQ(coloured({1, "a\nb", 1, 0.2, 0}),
            "\x1b[38;5;16;48;5;157ma\x1b[0m\n\x1b[38;5;16;48;5;157mb\x1b[0m\n");
  EXPECT_EQ(coloured({1, "a\x1b", 1, 9, 0.2}), "\x1b[4;38;5;16;48;5;210ma\xEF\xBF\xBD\x1b[0m\n");
}

// A small model of four tokens with weights large enough for predictions that are not uniform.
std::shared_ptr<examples::Gpt2> generation_model() {
  torch::manual_seed(5);
  examples::Gpt2Options options;
  options.layers = 2;
  options.heads = 2;
  options.width = 8;
  options.context = 6;
  options.vocabulary = 4;
  const auto model = std::make_shared<examples::Gpt2>(options);
  const torch::NoGradGuard no_grad;
  for (Tensor& p : model->parameters()) p.add_(0.3 * torch::randn_like(p));
  return model;
}

// A posterior around the weights of the model, all but those of the last norm.
ivon::Posterior posterior_around(const examples::Gpt2& model, double precision) {
  std::vector<ivon::PosteriorParameter> parameters;
  std::vector<std::string> left_out;
  for (const auto& p : model.named_parameters()) {
    if (p.key().find("ln_f") != std::string::npos) {
      left_out.push_back(p.key());
      continue;
    }
    const Tensor mean = p.value().detach().clone();
    parameters.push_back({p.key(), mean, torch::full_like(mean, precision)});
  }
  return ivon::Posterior(parameters, {}, left_out);
}

// What the model says without a cache: [n, vocabulary].
Tensor direct_prediction(examples::Gpt2& model, const Tensor& tokens) {
  const torch::NoGradGuard no_grad;
  return torch::softmax(model.forward(tokens).select(1, tokens.size(1) - 1), -1);
}

TEST(Ensemble, PredictsLikeTheModelAlsoBeyondItsContext) {
  const auto model = generation_model();
  gpt2::Ensemble ensemble(*model);
  const Tensor text = torch::randint(4, {2, 10}, torch::kLong);
  const auto expect_near = [&](const Tensor& p, int64_t begin, int64_t end) {
    EXPECT_TRUE(
        torch::allclose(p[0], direct_prediction(*model, text.slice(1, begin, end)), 1e-4, 1e-6))
        << begin << " to " << end;
  };
  expect_near(ensemble.next(text.slice(1, 0, 3)), 0, 3);
  for (int64_t t = 4; t <= 6; ++t) expect_near(ensemble.next(text.slice(1, t - 1, t)), 0, t);
  for (int64_t t = 7; t <= 9; ++t) expect_near(ensemble.next(text.slice(1, t - 1, t)), 4, t);
  expect_near(ensemble.next(text.slice(1, 9, 10)), 4, 10);
  EXPECT_THROW(ensemble.next(text.slice(0, 0, 1)), std::invalid_argument);
  ensemble.clear();
  expect_near(ensemble.next(text), 7, 10);
}

TEST(Ensemble, MembersAreTheSamplesOfThePosterior) {
  const auto model = generation_model();
  ivon::Posterior posterior = posterior_around(*model, 100);
  const Tensor text = torch::randint(4, {1, 4}, torch::kLong);
  const Tensor before = direct_prediction(*model, text);
  posterior.manual_seed(9);
  gpt2::Ensemble ensemble(*model, posterior, 2);
  const Tensor p = ensemble.next(text);
  ASSERT_EQ(p.sizes(), (std::vector<int64_t>{2, 1, 4}));
  EXPECT_TRUE(torch::equal(direct_prediction(*model, text), before));
  posterior.manual_seed(9);
  for (int64_t i = 0; i < 2; ++i) {
    const auto sample = posterior.sampled_params(*model);
    EXPECT_TRUE(torch::allclose(p[i], direct_prediction(*model, text), 1e-4, 1e-6)) << i;
  }
  EXPECT_FALSE(torch::allclose(p[0], p[1], 0.01, 0.001));
}

std::string generated_output(const gpt2::GenerateSettings& s, examples::Gpt2& model,
                             ivon::Posterior* posterior) {
  std::ostringstream out;
  gpt2::generate(s, model, posterior, abc_tokens(), out, false);
  return out.str();
}

TEST(Generate, PrintsTextOrUncertaintyOrTheBestCandidate) {
  const auto model = generation_model();
  ivon::Posterior posterior = posterior_around(*model, 100);
  gpt2::GenerateSettings s;
  s.prompt = "a";
  s.from = "average";
  s.samples = 3;
  s.generation.max_tokens = 5;
  const std::string text = generated_output(s, *model, &posterior);
  EXPECT_EQ(text.substr(0, 1), "a");
  EXPECT_EQ(text, generated_output(s, *model, &posterior));
  s.uncertainty = true;
  EXPECT_EQ(generated_output(s, *model, &posterior).substr(0, 9), "{\"token\":");
  s.uncertainty = false;
  s.candidates = 3;
  EXPECT_EQ(generated_output(s, *model, &posterior).substr(0, 1), "a");
  s.abstain = 100;
  EXPECT_EQ(generated_output(s, *model, &posterior), "");
}

TEST(Generate, RefusesSettingsThatDoNotGoTogether) {
  const auto model = generation_model();
  gpt2::GenerateSettings s;
  s.from = "sample";
  EXPECT_THROW(generated_output(s, *model, nullptr), std::invalid_argument);
  s.from = "mean";
  s.abstain = 10;
  EXPECT_THROW(generated_output(s, *model, nullptr), std::invalid_argument);
  s.candidates = 2;
  s.uncertainty = true;
  EXPECT_THROW(generated_output(s, *model, nullptr), std::invalid_argument);
}

}  // namespace
