// SPDX-License-Identifier: Apache-2.0
// The text of the tasks on language: reading it, and its characters and words as numbers.
#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "drop_in/data.hpp"

namespace drop_in {
namespace {

constexpr size_t kFrequentWords = 8'000;

std::string read_text(const std::filesystem::path& data) {
  const std::filesystem::path path = data / "text.txt";
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (text.empty()) {
    throw std::runtime_error("cannot read the text " + path.string() +
                             "; run benchmarks/drop_in/run.sh, which fetches it");
  }
  return text;
}

// The number of the first tokens that are for training.
size_t training_part(size_t tokens) { return tokens / 10 * 9; }

Text divide_text(const std::vector<int64_t>& numbers, int64_t vocabulary) {
  const torch::Tensor tokens = torch::tensor(numbers, torch::kInt64);
  const auto part = static_cast<int64_t>(training_part(numbers.size()));
  return {tokens.slice(0, 0, part), tokens.slice(0, part), vocabulary};
}

// Numbers the characters that occur, in the order of their codes.
Text read_characters(const std::filesystem::path& data) {
  const std::string text = read_text(data);
  std::array<int64_t, 256> number_of{};
  for (const char c : text) number_of[static_cast<unsigned char>(c)] = 1;
  int64_t vocabulary = 0;
  for (int64_t& number : number_of) {
    if (number == 1) number = vocabulary++;
  }
  std::vector<int64_t> numbers;
  numbers.reserve(text.size());
  for (const char c : text) numbers.push_back(number_of[static_cast<unsigned char>(c)]);
  return divide_text(numbers, vocabulary);
}

// Words are runs of letters and digits, in lower case; an apostrophe between letters belongs to its
// word. Every other character that is no white space is a word of its own.
std::vector<std::string> split_into_words(const std::string& text) {
  const auto in_word = [&](size_t i) {
    return i < text.size() && std::isalnum(static_cast<unsigned char>(text[i])) != 0;
  };
  std::vector<std::string> words;
  std::string word;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (in_word(i) || (c == '\'' && !word.empty() && in_word(i + 1))) {
      word.push_back(static_cast<char>(std::tolower(c)));
      continue;
    }
    if (!word.empty()) words.push_back(std::exchange(word, {}));
    if (std::isspace(c) == 0) words.emplace_back(1, text[i]);
  }
  if (!word.empty()) words.push_back(word);
  return words;
}

// Numbers the most frequent words of the training part from 1, beginning with the most frequent;
// equally frequent words are in alphabetical order. Number 0 is for all other words.
Text read_words(const std::filesystem::path& data) {
  const std::vector<std::string> words = split_into_words(read_text(data));
  std::unordered_map<std::string, int64_t> counts;
  for (size_t i = 0; i < training_part(words.size()); ++i) ++counts[words[i]];
  std::vector<std::pair<std::string, int64_t>> frequent(counts.begin(), counts.end());
  std::sort(frequent.begin(), frequent.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  if (frequent.size() > kFrequentWords) frequent.resize(kFrequentWords);

  std::unordered_map<std::string, int64_t> number_of;
  for (size_t i = 0; i < frequent.size(); ++i) {
    number_of[frequent[i].first] = static_cast<int64_t>(i) + 1;
  }
  std::vector<int64_t> numbers;
  numbers.reserve(words.size());
  for (const std::string& word : words) {
    const auto found = number_of.find(word);
    numbers.push_back(found == number_of.end() ? 0 : found->second);
  }
  return divide_text(numbers, static_cast<int64_t>(frequent.size()) + 1);
}

}  // namespace

const Text& characters(const std::filesystem::path& data) {
  static const Text text = read_characters(data);
  return text;
}

const Text& words(const std::filesystem::path& data) {
  static const Text text = read_words(data);
  return text;
}

torch::Tensor random_windows(const torch::Tensor& tokens, int64_t batch_size, int64_t length,
                             std::mt19937_64& generator) {
  TORCH_CHECK(tokens.size(0) > length, "the text has ", tokens.size(0),
              " tokens, too few for a window of ", length + 1);
  std::uniform_int_distribution<int64_t> start(0, tokens.size(0) - length - 1);
  const torch::Tensor starts = torch::empty({batch_size, 1}, torch::kInt64);
  std::generate_n(starts.data_ptr<int64_t>(), batch_size, [&] { return start(generator); });
  return tokens.take(starts + torch::arange(length + 1, torch::kInt64));
}

}  // namespace drop_in
