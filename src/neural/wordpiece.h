#pragma once
/// Cuts text into the word pieces of a BERT vocabulary, as the encoder's training did.
///
/// In this order: bytes that are no UTF-8, control characters and U+FFFD go, every white space becomes a blank; Han ideographs stand
/// alone; canonical decomposition, accents (Mn) go, lower case; words end at blanks, and each punctuation mark is a word; each word is
/// cut greedily into the longest pieces of the vocabulary, and becomes [UNK] where that fails or it has over 100 characters.
/// The same as Hugging Face's `tokenizers` (a test compares them), but for one thing on purpose: "[SEP]" and its like in a text are
/// ordinary characters, so that a text cannot forge the border of another.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace understudy::neural {

struct WordPieceOptions {
  bool lowercase = true;
  bool strip_accents = true;
  bool split_han = true;
  std::size_t max_word_characters = 100;
};

/// Input of the encoder: [CLS] pieces [SEP], or [CLS] pieces [SEP] pieces [SEP].
struct Tokens {
  std::vector<std::int32_t> ids;
  std::size_t second = 0;  ///< where the second text of a pair starts (its type is 1); 0: one text
  bool truncated = false;  ///< the text had more pieces than fit
};

/// Immutable, thread-safe.
class WordPiece {
 public:
  /// @param vocabulary  the bytes of a vocab.txt: one piece a line, the line's number is its id; "##" starts a piece inside a word
  /// @param name        what errors call it
  /// kConfig: empty, a piece twice, or [CLS], [SEP] or [UNK] missing.
  static Result<WordPiece> create(std::string_view vocabulary, const WordPieceOptions& options, std::string_view name = "vocabulary");

  /// At most `max_tokens` (>= 2), [CLS] and [SEP] among them; the text's end is cut. O(characters read): stops where enough is found.
  Tokens encode(std::string_view text, std::size_t max_tokens) const;
  /// At most `max_tokens` (>= 3); the longer text is cut first, as `tokenizers`' LongestFirst does.
  Tokens encode_pair(std::string_view first, std::string_view second, std::size_t max_tokens) const;

  /// Appends pieces without [CLS] and [SEP], `most` at most; false where the text had more.
  bool append_pieces(std::string_view text, std::size_t most, std::vector<std::int32_t>& ids) const;

  std::size_t size() const { return size_; }
  std::int32_t cls() const { return cls_; }
  std::int32_t sep() const { return sep_; }
  std::int32_t unknown() const { return unknown_; }

 private:
  class Cutter;
  struct Pieces;

  std::shared_ptr<const Pieces> pieces_;
  WordPieceOptions options_;
  std::size_t size_ = 0;
  std::int32_t cls_ = 0, sep_ = 0, unknown_ = 0;
};

}  // namespace understudy::neural
