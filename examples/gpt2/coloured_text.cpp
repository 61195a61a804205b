// SPDX-License-Identifier: Apache-2.0
#include "coloured_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>

#include "utf8_stream.hpp"

namespace gpt2 {
namespace {

constexpr const char* kResetColour = "\x1b[0m";

// A range of entropy ends below `end`, in nats; the numbers of the colours are those of terminals
// with 256 of them, from green to red, all light enough for black text.
struct EntropyColour {
  double end;
  int colour;
};
constexpr EntropyColour kEntropyColours[] = {{0.5, 157}, {1, 193}, {2, 229}, {3, 223}, {4.5, 217}};
constexpr int kHighestEntropyColour = 210;

int entropy_colour(double entropy) {
  for (const EntropyColour& c : kEntropyColours) {
    if (entropy < c.end) return c.colour;
  }
  return kHighestEntropyColour;
}

// Black (colour 16) on a ground of that colour.
std::string colour_code(int ground, bool underlined) {
  return fmt::format("\x1b[{}38;5;16;48;5;{}m", underlined ? "4;" : "", ground);
}

std::string colour_legend(bool disagreement) {
  std::string line = "entropy in nats:";
  for (const EntropyColour& c : kEntropyColours) {
    line += fmt::format(" {} below {} {}", colour_code(c.colour, false), c.end, kResetColour);
  }
  line += fmt::format(" {} higher {}", colour_code(kHighestEntropyColour, false), kResetColour);
  if (disagreement) {
    line += fmt::format("; \x1b[4munderlined\x1b[0m: mutual information of at least {}",
                        kHighMutualInformation);
  }
  return line + '\n';
}

// The text with U+FFFD for control characters of one byte other than ends of lines and tabs, and
// for those from U+0080 to U+009F, of which U+009B begins escape codes too.
std::string without_control_characters(const std::string& text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool short_control = (byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7F;
    const bool long_control =
        byte == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    if (short_control || long_control) {
      result += "\xEF\xBF\xBD";
      i += long_control ? 1 : 0;
    } else {
      result += text[i];
    }
  }
  return result;
}

std::string hexadecimal_bytes(const std::string& bytes) {
  std::string digits;
  for (const char byte : bytes) digits += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return digits;
}

class PlainTokenPrinter : public TokenPrinter {
 public:
  PlainTokenPrinter(std::ostream& out, bool terminal) : out_(out), terminal_(terminal) {}
  void begin(std::string_view prompt) override { print(valid_utf8(prompt)); }
  void add(const GeneratedToken& token) override { print(stream_.add(token.bytes)); }
  void finish() override {
    print(stream_.finish());
    out_ << std::endl;
  }

 private:
  void print(const std::string& text) {
    out_ << (terminal_ ? without_control_characters(text) : text) << std::flush;
  }

  std::ostream& out_;
  bool terminal_;
  Utf8Stream stream_;
};

class ColouredTokenPrinter : public TokenPrinter {
 public:
  ColouredTokenPrinter(std::ostream& out, bool disagreement)
      : out_(out), disagreement_(disagreement) {}

  void begin(std::string_view prompt) override {
    out_ << colour_legend(disagreement_) << printable_text(prompt) << std::flush;
  }

  void add(const GeneratedToken& token) override {
    code_ = colour_code(entropy_colour(token.entropy),
                        token.mutual_information >= kHighMutualInformation);
    print(stream_.add(token.bytes));
  }

  void finish() override {
    print(stream_.finish());
    out_ << std::endl;
  }

 private:
  // Prints the text in the colour of the last token. The ends of lines have none, because a
  // terminal would colour the rest of the line.
  void print(const std::string& text) {
    const std::string shown = without_control_characters(text);
    for (size_t begin = 0; begin < shown.size();) {
      const size_t end = std::min(shown.find('\n', begin), shown.size());
      if (end > begin) out_ << code_ << shown.substr(begin, end - begin) << kResetColour;
      if (end < shown.size()) out_ << '\n';
      begin = end + 1;
    }
    out_ << std::flush;
  }

  std::ostream& out_;
  bool disagreement_;
  Utf8Stream stream_;
  std::string code_;  // the colour of the last token
};

class JsonTokenPrinter : public TokenPrinter {
 public:
  explicit JsonTokenPrinter(std::ostream& out) : out_(out) {}
  void begin(std::string_view /*prompt*/) override {}
  void add(const GeneratedToken& token) override {
    const std::string text = valid_utf8(token.bytes);
    nlohmann::ordered_json line = {{"token", token.id},
                                   {"text", text},
                                   {"probability", token.probability},
                                   {"entropy", token.entropy},
                                   {"mutual_information", token.mutual_information}};
    if (text != token.bytes) line["bytes"] = hexadecimal_bytes(token.bytes);
    out_ << line.dump() << std::endl;
  }
  void finish() override {}

 private:
  std::ostream& out_;
};

}  // namespace

std::string printable_text(std::string_view bytes) {
  return without_control_characters(valid_utf8(bytes));
}

std::unique_ptr<TokenPrinter> token_printer(TokenOutput output, std::ostream& out,
                                            bool disagreement) {
  switch (output) {
    case TokenOutput::kColoured:
      return std::make_unique<ColouredTokenPrinter>(out, disagreement);
    case TokenOutput::kJson:
      return std::make_unique<JsonTokenPrinter>(out);
    default:
      return std::make_unique<PlainTokenPrinter>(out, output == TokenOutput::kTerminal);
  }
}

}  // namespace gpt2
