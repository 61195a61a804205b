// SPDX-License-Identifier: Apache-2.0
// Makes a vocabulary of byte-pair encoding from a text.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "common/text/bpe_vocabulary.hpp"

namespace examples {

// A vocabulary of `size` tokens: kEndOfText as token 0, the 256 bytes in the order of GPT-2's
// vocabulary, then merges. Each merge joins the pair of neighbouring tokens that is most frequent
// in the pieces of `text` (pre_tokenizer.hpp); among pairs of equal frequency, the one whose first
// id is smaller, then the one whose second id is. It ends early where no pair occurs twice. The
// same as Hugging Face's tokenizers make with a ByteLevel pre-tokenizer (no prefix space), its
// alphabet as initial alphabet, kEndOfText as special token and min_frequency=2, if the whole text
// is one item of train_from_iterator(); train() cuts a file into lines, which changes the pieces.
// `progress`, which may be empty, is called after each merge with the number of tokens so far.
// Throws std::invalid_argument if size < 257 or text is empty.
BpeVocabulary train_bpe(std::string_view text, int64_t size,
                        const std::function<void(int64_t tokens)>& progress = {});

}  // namespace examples
