// SPDX-License-Identifier: Apache-2.0
// GPT-2's tokenizer: byte-level byte-pair encoding (Sennrich et al. 2016, arXiv 1508.07909; Radford
// et al. 2019, "Language Models are Unsupervised Multitask Learners").
#pragma once

#include <memory>

#include "common/text/bpe_vocabulary.hpp"
#include "common/text/tokenizer.hpp"

namespace examples {

// Text is cut into pieces (pre_tokenizer.hpp); in each piece, neighbouring tokens are merged, the
// pair that stands first in the list of merges first, until no pair is in the list. Any bytes can
// be encoded, and decode() gives them back. Several threads may encode with one tokenizer.
class BpeTokenizer : public Tokenizer {
 public:
  // Throws std::runtime_error for a vocabulary that read_bpe_vocabulary() would not return.
  explicit BpeTokenizer(BpeVocabulary vocabulary);
  ~BpeTokenizer() override;

  int64_t size() const override;
  void encode(std::string_view text, std::vector<TokenId>& ids) const override;
  std::string_view bytes(TokenId id) const override;
  std::optional<TokenId> end_of_text() const override;
  void save(const std::filesystem::path& folder) const override;

  const BpeVocabulary& vocabulary() const;

 private:
  struct Tables;
  std::unique_ptr<Tables> tables_;
};

// The ids of `text`, found on `threads` threads (1 if it is less): cut where the pieces are sure to
// be cut (is_safe_cut() of pre_tokenizer.hpp), so that the ids are those of encode(). That holds
// for a BpeTokenizer, and for any tokenizer that encodes each character by itself. Throws what
// encode() throws for the whole text.
std::vector<TokenId> encode_in_parallel(const Tokenizer& tokenizer, std::string_view text,
                                        int threads);

}  // namespace examples
