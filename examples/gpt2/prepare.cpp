// SPDX-License-Identifier: Apache-2.0
// The commands that only read text: prepare, questions and tokenize.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <stdexcept>
#include <string_view>

#include "commands.hpp"
#include "common/text/bpe_tokenizer.hpp"
#include "common/text/open_tokenizer.hpp"
#include "text_data.hpp"

namespace gpt2 {
namespace {

void print_ids(const std::vector<examples::TokenId>& ids) {
  fmt::memory_buffer line;
  for (size_t i = 0; i < ids.size(); ++i) {
    fmt::format_to(std::back_inserter(line), "{}{}", i > 0 ? " " : "", ids[i]);
  }
  line.push_back('\n');
  std::fwrite(line.data(), 1, line.size(), stdout);
}

void print_line_by_line(const examples::Tokenizer& tokenizer, std::string_view text) {
  std::vector<examples::TokenId> ids;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    ids.clear();
    tokenizer.encode(text.substr(0, end), ids);
    print_ids(ids);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

}  // namespace

void prepare(const Settings& s) { prepare_text(s.text, s.common.out, s.common.threads); }

void questions(const Settings& s) {
  MadeQuestionSettings settings = s.questions;
  settings.seed = static_cast<uint64_t>(s.common.seed);
  const std::filesystem::path folder = s.common.out;
  std::filesystem::create_directories(folder);
  make_question_files(read_text(s.text.text).text, settings, folder);
  fmt::print("{0}/train.jsonl has {1} questions, {0}/test.jsonl {2}\n", folder.string(),
             settings.train, settings.test);
}

void tokenize(const Settings& s, const std::vector<std::string>& files) {
  if (s.text.vocabulary.empty()) {
    throw std::invalid_argument(
        "--vocabulary must name a folder with vocab.json and merges.txt, but is not given");
  }
  const auto tokenizer = examples::open_tokenizer(s.text.vocabulary);
  for (const std::string& file : files) {
    const std::string text = read_text(file).text;
    if (s.lines) {
      print_line_by_line(*tokenizer, text);
    } else {
      print_ids(examples::encode_in_parallel(*tokenizer, text, s.common.threads));
    }
  }
}

}  // namespace gpt2
