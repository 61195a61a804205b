// SPDX-License-Identifier: Apache-2.0
// The tokenizer whose vocabulary lies in a folder.
#pragma once

#include <filesystem>
#include <memory>

#include "common/text/tokenizer.hpp"

namespace examples {

// Looks in `folder` for vocab.json with merges.txt, for encoder.json with vocab.bpe (the same two
// files by OpenAI's names), and for characters.json, and opens the first that is there. Throws
// std::runtime_error naming the folder and what is missing if none is, or what the reading throws.
std::unique_ptr<Tokenizer> open_tokenizer(const std::filesystem::path& folder);

}  // namespace examples
