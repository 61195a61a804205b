// SPDX-License-Identifier: Apache-2.0
// From text to the token files that training reads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "common/data/token_file.hpp"
#include "common/text/tokenizer.hpp"
#include "settings.hpp"

namespace gpt2 {

// A folder that prepare() has written, or one of nanoGPT's with a vocabulary in it.
struct TextData {
  examples::TokenFile train, validation;  // train.bin, val.bin
  std::unique_ptr<examples::Tokenizer> tokenizer;
};

// The text of a file, or of all .txt files of a folder and of its folders, in the order of their
// names. An empty `path` is the default: the King James Bible of the Debian packages bible-kjv and
// bible-kjv-text, a verse a line. Throws std::runtime_error naming the path, or the packages, if
// there is no text.
std::string read_text(const std::string& path);

// The tokenizer that the settings name, trained on `text` where it has to be. Throws
// std::invalid_argument for settings that contradict each other.
std::unique_ptr<examples::Tokenizer> make_tokenizer(const TextSettings& s, const std::string& text);

// Writes train.bin, val.bin, meta.json and the vocabulary into `folder`, and prints what it did.
void prepare_text(const TextSettings& s, const std::filesystem::path& folder, int threads);

// Opens such a folder and checks all ids against the vocabulary. Throws std::runtime_error naming
// what is missing or does not fit.
TextData open_text_data(const std::filesystem::path& folder);

}  // namespace gpt2
