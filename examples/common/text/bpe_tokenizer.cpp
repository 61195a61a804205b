// SPDX-License-Identifier: Apache-2.0
#include "common/text/bpe_tokenizer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <utility>

#include "common/data/parallel_for.hpp"
#include "common/text/bpe_checks.hpp"
#include "common/text/bpe_merging.hpp"
#include "common/text/piece_tables.hpp"
#include "common/text/pre_tokenizer.hpp"
#include "common/text/vocabulary_files.hpp"

namespace examples {
namespace {

uint64_t new_tokenizer_number() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

const BpeVocabulary& checked_vocabulary(const BpeVocabulary& vocabulary) {
  if (check_bpe_tokens(vocabulary.tokens) != vocabulary.end_of_text) {
    throw std::runtime_error(
        fmt::format("end_of_text must be the id of the token {}, or nothing "
                    "where there is no such token; correct it",
                    kEndOfText));
  }
  BpeMergeChecker checker(vocabulary.tokens);
  for (size_t i = 0; i < vocabulary.merges.size(); ++i) {
    try {
      checker.check(vocabulary.merges[i]);
    } catch (const std::runtime_error& error) {
      throw std::runtime_error(fmt::format("merge {}: {}", i, error.what()));
    }
  }
  return vocabulary;
}

}  // namespace

struct BpeTokenizer::Tables {
  explicit Tables(BpeVocabulary&& given)
      : vocabulary(std::move(given)),
        number(new_tokenizer_number()),
        merges(checked_vocabulary(vocabulary)),
        whole_tokens(vocabulary.tokens.size()) {
    // A piece whose bytes are a token need not become this token: that takes merges that lead to
    // it.
    std::vector<TokenId> ids;
    for (size_t i = 0; i < vocabulary.tokens.size(); ++i) {
      const std::string& token = vocabulary.tokens[i];
      if (token.size() > kMaxPieceKey) continue;
      ids.clear();
      merges.merge(token, ids);
      if (ids.size() == 1) whole_tokens.add(piece_key(token), ids[0]);
    }
  }

  void encode(std::string_view text, std::vector<TokenId>& ids) const {
    PieceCache& cache = piece_cache_of(number);
    const char* const end = text.data() + text.size();
    for (const char* piece = text.data(); piece != end;) {
      const char* const piece_end = next_piece(piece, end);
      const auto bytes = static_cast<size_t>(piece_end - piece);
      if (bytes > kMaxPieceKey) {
        merges.merge({piece, bytes}, ids);
      } else {
        const PieceKey key = piece_key(piece, bytes, end);
        const TokenId whole = whole_tokens.find(key);
        if (whole >= 0) {
          ids.push_back(whole);
        } else if (!cache.append(key, ids)) {
          const size_t first = ids.size();
          merges.merge({piece, bytes}, ids);
          cache.add(key, ids.data() + first, ids.size() - first);
        }
      }
      piece = piece_end;
    }
  }

  const BpeVocabulary vocabulary;
  const uint64_t number;  // no other tokenizer of this program has it
  const BpeMerges merges;
  WholeTokens whole_tokens;
};

BpeTokenizer::BpeTokenizer(BpeVocabulary vocabulary)
    : tables_(std::make_unique<Tables>(std::move(vocabulary))) {}

BpeTokenizer::~BpeTokenizer() = default;

int64_t BpeTokenizer::size() const {
  return static_cast<int64_t>(tables_->vocabulary.tokens.size());
}

void BpeTokenizer::encode(std::string_view text, std::vector<TokenId>& ids) const {
  tables_->encode(text, ids);
}

std::string_view BpeTokenizer::bytes(TokenId id) const {
  const std::vector<std::string>& tokens = tables_->vocabulary.tokens;
  if (id < 0 || static_cast<size_t>(id) >= tokens.size()) {
    throw std::out_of_range(
        fmt::format("the ids of a vocabulary of {} tokens are 0 to {}, but {} "
                    "was asked for; check that ids and vocabulary belong "
                    "together",
                    tokens.size(), tokens.size() - 1, id));
  }
  return tokens[static_cast<size_t>(id)];
}

std::optional<TokenId> BpeTokenizer::end_of_text() const { return tables_->vocabulary.end_of_text; }

void BpeTokenizer::save(const std::filesystem::path& folder) const {
  write_bpe_vocabulary(tables_->vocabulary, folder);
  remove_other_vocabularies(folder, {kHuggingFaceFiles.vocab, kHuggingFaceFiles.merges});
}

const BpeVocabulary& BpeTokenizer::vocabulary() const { return tables_->vocabulary; }

std::vector<TokenId> encode_in_parallel(const Tokenizer& tokenizer, std::string_view text,
                                        int threads) {
  constexpr size_t kMinPart = size_t{1} << 16;  // bytes; smaller parts are not worth a thread
  constexpr size_t kPartsPerThread = 4;         // so that no thread waits long for the others
  const size_t wanted = static_cast<size_t>(std::max(threads, 1)) * kPartsPerThread;
  const size_t count = std::clamp<size_t>(text.size() / kMinPart, 1, wanted);
  std::vector<size_t> cuts{0};
  for (size_t i = 1; i < count; ++i) {
    size_t place = std::max(text.size() / count * i, cuts.back() + 1);
    while (place < text.size() && !is_safe_cut(text, place)) ++place;
    if (place >= text.size()) break;
    cuts.push_back(place);
  }
  cuts.push_back(text.size());
  std::vector<std::vector<TokenId>> parts(cuts.size() - 1);
  const auto encode_part = [&](int64_t index) {
    const auto i = static_cast<size_t>(index);
    tokenizer.encode(text.substr(cuts[i], cuts[i + 1] - cuts[i]), parts[i]);
  };
  try {
    parallel_for(static_cast<int64_t>(parts.size()), std::max(threads, 1), encode_part,
                 kReportInterval, [](int64_t) {});
  } catch (const std::runtime_error&) {
    // A place that the message names counts from the beginning of a part. The whole text gives the
    // message with the true place.
    std::vector<TokenId> ids;
    tokenizer.encode(text, ids);
    throw;
  }
  size_t total = 0;
  for (const auto& part : parts) total += part.size();
  std::vector<TokenId> ids;
  ids.reserve(total);
  for (const auto& part : parts) ids.insert(ids.end(), part.begin(), part.end());
  return ids;
}

}  // namespace examples
