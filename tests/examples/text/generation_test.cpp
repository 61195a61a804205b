// SPDX-License-Identifier: Apache-2.0
// The generation of text in examples/gpt2: drawing tokens, whole characters, the stop text,
// printing.
#include "gpt2/generation.hpp"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "generation_tokens.hpp"
#include "gpt2/coloured_text.hpp"
#include "gpt2/utf8_stream.hpp"

namespace {

using generation_tokens::abc_tokens;
using gpt2::GeneratedToken;
using gpt2::StopText;
using torch::Tensor;

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

std::string printed_tokens(gpt2::TokenOutput output, const std::vector<GeneratedToken>& tokens,
                           bool disagreement = true) {
  std::ostringstream out;
  const auto printer = gpt2::token_printer(output, out, disagreement);
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
            "\"mutual_information\":0.0,\"bytes\":\"c3\"}\n");
  EXPECT_EQ(printed_tokens(gpt2::TokenOutput::kJson, {{1, "a", 1, 0, 0}}).find("bytes"),
            std::string::npos);
}

TEST(TokenPrinter, LetsNoEscapeCodesThroughToATerminal) {
  const std::vector<GeneratedToken> tokens = {{1, "\x1b[2J\t\xC2"}, {2, "\x9B\n"}};
  EXPECT_EQ(printed_tokens(gpt2::TokenOutput::kTerminal, tokens),
            "p\xEF\xBF\xBD[2J\t\xEF\xBF\xBD\n\n");
  EXPECT_EQ(printed_tokens(gpt2::TokenOutput::kPlain, tokens), "p\x1b[2J\t\xC2\x9B\n\n");
}

TEST(TokenPrinter, TheLegendSpeaksOfDisagreementOnlyBetweenModels) {
  const auto has_line = [](bool disagreement) {
    const auto text = printed_tokens(gpt2::TokenOutput::kColoured, {}, disagreement);
    return text.find("mutual information") != std::string::npos;
  };
  EXPECT_TRUE(has_line(true));
  EXPECT_FALSE(has_line(false));
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

}  // namespace
