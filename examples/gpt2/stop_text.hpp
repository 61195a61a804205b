// SPDX-License-Identifier: Apache-2.0
// A generated token, and the text at which generation stops.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "common/text/tokenizer.hpp"

namespace gpt2 {

struct GeneratedToken {
  examples::TokenId id = 0;
  std::string bytes;       // perhaps a part of a character; before a stop text perhaps shortened
  double probability = 0;  // of the averaged prediction, before temperature, top-k and top-p
  double entropy = 0;      // of the averaged prediction, in nats
  double mutual_information = 0;  // of token and weights, in nats
};

// Holds tokens back while their bytes may be the beginning of the stop text, which can begin and
// end anywhere in tokens. What comes out is the text before it.
class StopText {
 public:
  // An empty text never stops.
  explicit StopText(std::string text) : text_(std::move(text)) {}

  // Takes the next token and returns the tokens that stand before any stop text, perhaps none. If
  // it completes the stop text, found() is true, and a token in which the stop text begins comes
  // out with the bytes before it. Tokens after that are ignored.
  std::vector<GeneratedToken> add(GeneratedToken token);

  // Ends the text: returns the tokens held back.
  std::vector<GeneratedToken> finish();

  bool found() const { return found_; }

 private:
  // Takes the held tokens that lie within the first `size` held bytes.
  std::vector<GeneratedToken> release(size_t size);

  std::string text_;
  std::vector<GeneratedToken> held_;
  std::string held_bytes_;  // of held_
  bool found_ = false;
};

}  // namespace gpt2
