// SPDX-License-Identifier: Apache-2.0
// Prints generated tokens as they come: as text, as text coloured by uncertainty for a terminal, or
// as JSON lines for programs.
#pragma once

#include <memory>
#include <ostream>
#include <string>
#include <string_view>

#include "stop_text.hpp"

namespace gpt2 {

class TokenPrinter {
 public:
  virtual ~TokenPrinter() = default;

  // Prints the text before the first token.
  virtual void begin(std::string_view prompt) = 0;

  // Prints a token and flushes the stream.
  virtual void add(const GeneratedToken& token) = 0;

  // Prints what is still held back, and the end of the line.
  virtual void finish() = 0;
};

enum class TokenOutput {
  // Prompt and tokens. Characters are printed when they are whole, and U+FFFD stands for bytes that
  // are not UTF-8.
  kPlain,
  // The same for a terminal, with printable_text(), so that a model cannot write escape codes.
  kTerminal,
  // The same as kTerminal, each token on a ground of the colour for its entropy, and underlined
  // where the mutual information is at least kHighMutualInformation; a legend comes first. A
  // character that several tokens share has the colour of the last. The escape codes need a
  // terminal of 256 colours.
  kColoured,
  // For each token a line {"token": id, "text": ..., "probability": ..., "entropy": ...,
  // "mutual_information": ...}, in nats. The prompt is not printed. U+FFFD stands for bytes that
  // are not UTF-8, which is also what remains of a character that several tokens share; such a line
  // also has "bytes": the bytes of the token as hexadecimal digits.
  kJson,
};

inline constexpr double kHighMutualInformation = 0.1;  // nats

// `out` must outlive the printer. Without `disagreement`, as where there is one model only, the
// legend does not speak of mutual information, which is 0 then.
std::unique_ptr<TokenPrinter> token_printer(TokenOutput output, std::ostream& out,
                                            bool disagreement);

// The text for a terminal: with U+FFFD for bytes that are not UTF-8 and for control characters
// other than ends of lines and tabs, which could be escape codes.
std::string printable_text(std::string_view bytes);

}  // namespace gpt2
