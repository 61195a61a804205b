// SPDX-License-Identifier: Apache-2.0
// From text to the token files that training reads.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "common/data/token_file.hpp"
#include "common/text/tokenizer.hpp"
#include "settings.hpp"

namespace gpt2 {

// Texts that follow one another, such as the files of a folder.
struct Documents {
  std::string text;          // of all of them
  std::vector<size_t> ends;  // where each document ends in `text`
};

// The text of a file, or of all .txt files in a folder and in the folders below, in the order of
// their names. An empty `path` is the default: the King James Bible of the Debian packages
// bible-kjv and bible-kjv-text, a verse a line. Throws std::runtime_error naming the path, or the
// packages, if there is no text.
Documents read_text(const std::string& path);

// A folder that prepare_text() has written, or one of nanoGPT's with a vocabulary in it.
struct TextData {
  examples::TokenFile train, validation;  // train.bin, val.bin
  std::unique_ptr<examples::Tokenizer> tokenizer;
};

// Writes train.bin, val.bin, the vocabulary and, as the last file, meta.json into `folder`, and
// prints what it did. Where the text has several documents and the vocabulary a token that
// separates them, that token follows each document.
//
// Throws std::invalid_argument for settings that contradict each other, std::runtime_error if the
// text cannot be read, is too short, or has characters that the vocabulary lacks.
void prepare_text(const TextSettings& s, const std::filesystem::path& folder, int threads);

// The same, unless prepare_text() has filled the folder from the same settings before.
void prepare_text_once(const TextSettings& s, const std::filesystem::path& folder, int threads);

// Opens such a folder. Throws std::runtime_error naming what is missing, or an id that the
// vocabulary lacks, or both numbers if meta.json tells of a vocabulary of another size.
TextData open_text_data(const std::filesystem::path& folder);

// Throws std::runtime_error naming both if the tokens of `data` do not mean the same in
// `tokenizer`.
void check_same_vocabulary(const TextData& data, const examples::Tokenizer& tokenizer);

}  // namespace gpt2
