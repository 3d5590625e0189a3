#include "neural/wordpiece.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <optional>

#include <boost/unordered/unordered_flat_map.hpp>
#include <fmt/format.h>

#include "base/assert.h"
#include "base/hash.h"
#include "neural/internal/characters.h"

namespace understudy::neural {

namespace {

struct PieceHash {
  using is_transparent = void;
  using is_avalanching = void;
  std::size_t operator()(std::string_view piece) const { return hash64(piece); }
};
using PieceMap = boost::unordered_flat_map<std::string, std::int32_t, PieceHash, std::equal_to<>>;

std::optional<std::int32_t> id_of(const PieceMap& map, std::string_view piece) {
  const auto found = map.find(piece);
  return found == map.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace

struct WordPiece::Pieces {
  PieceMap first, inside;  // "inside" without their "##"
  std::size_t longest_bytes = 0;
};

/// Takes characters one by one, keeps the word so far and cuts it at its end.
class WordPiece::Cutter {
 public:
  Cutter(const WordPiece& parent, std::size_t most, std::vector<std::int32_t>& ids)
      : parent_(parent), pieces_(*parent.pieces_), ids_(ids), end_(ids.size() + most) {}

  /// False: there is no more room.
  bool take_text(std::string_view text) {
    const auto* at = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
    const auto* const end = at + text.size();
    while (at < end) {
      std::int32_t c = *at;
      if (c < 0x80) {
        ++at;
        if (!take_ascii(static_cast<char>(c))) return false;
        continue;
      }
      const auto length = utf8proc_iterate(at, end - at, &c);
      at += length > 0 ? length : 1;
      if (length > 0 && !take(c)) return false;
    }
    return end_word();
  }

 private:
  bool take_ascii(char c) {
    const internal::AsciiKind kind = internal::ascii_kind(c);
    switch (kind) {
      case internal::AsciiKind::kDropped: return true;
      case internal::AsciiKind::kBlank: return end_word();
      case internal::AsciiKind::kPunctuation: return alone(c);
      case internal::AsciiKind::kUpper:
        if (parent_.options_.lowercase) c = static_cast<char>(c + ('a' - 'A'));
        break;
      case internal::AsciiKind::kOther: break;
    }
    add(c);
    return true;
  }

  bool take(std::int32_t c) {
    if (internal::is_dropped(c)) return true;
    if (internal::is_blank(c)) return end_word();
    const bool han = parent_.options_.split_han && internal::is_han(c);
    if (han && !end_word()) return false;
    if (!parent_.options_.strip_accents) return take_decomposed(c) && (!han || end_word());
    std::array<utf8proc_int32_t, 32> parts{};
    int boundary = 0;
    const auto count = utf8proc_decompose_char(c, parts.data(), parts.size(), UTF8PROC_DECOMPOSE, &boundary);
    UNDERSTUDY_ASSERT(count > 0 && static_cast<std::size_t>(count) <= parts.size());
    for (utf8proc_ssize_t i = 0; i < count; ++i) {
      const std::int32_t part = parts[static_cast<std::size_t>(i)];
      if (internal::is_accent(part)) continue;
      if (!take_decomposed(part)) return false;
    }
    return !han || end_word();
  }

  bool take_decomposed(std::int32_t c) {
    if (parent_.options_.lowercase) {
      if (c == 0x130) {  // the only letter whose lower case is two
        add('i');
        c = 0x307;
      } else {
        c = utf8proc_tolower(c);
      }
    }
    if (internal::is_blank(c)) return end_word();
    if (internal::is_punctuation(c)) {
      if (!end_word()) return false;
      add(c);
      return end_word();
    }
    add(c);
    return true;
  }

  bool alone(char c) {
    if (!end_word()) return false;
    add(c);
    return end_word();
  }

  void add(char c) {
    if (++characters_ <= parent_.options_.max_word_characters) word_ += c;
  }
  void add(std::int32_t c) {
    if (++characters_ > parent_.options_.max_word_characters) return;
    std::array<utf8proc_uint8_t, 4> bytes{};
    const auto count = utf8proc_encode_char(c, bytes.data());
    word_.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(count));
  }

  bool end_word() {
    if (characters_ == 0) return true;
    const std::size_t before = ids_.size();
    if (characters_ > parent_.options_.max_word_characters || !cut()) {
      ids_.resize(before);
      ids_.push_back(parent_.unknown_);
    }
    characters_ = 0;
    word_.clear();
    if (ids_.size() <= end_) return true;
    ids_.resize(end_);
    return false;
  }

  /// Greedy, the longest piece first; false where no piece fits.
  bool cut() {
    std::string_view rest = word_;
    while (!rest.empty()) {
      const PieceMap& map = rest.size() == word_.size() ? pieces_.first : pieces_.inside;
      std::size_t length = std::min(rest.size(), pieces_.longest_bytes);
      std::optional<std::int32_t> id;
      for (; length > 0; --length) {
        const bool inside_a_character = length < rest.size() && (static_cast<unsigned char>(rest[length]) & 0xc0) == 0x80;
        if (!inside_a_character && (id = id_of(map, rest.substr(0, length)))) break;
      }
      if (!id) return false;
      ids_.push_back(*id);
      rest.remove_prefix(length);
    }
    return true;
  }

  const WordPiece& parent_;
  const Pieces& pieces_;
  std::vector<std::int32_t>& ids_;
  const std::size_t end_;
  std::string word_;            // its first characters, as many as a word may have
  std::size_t characters_ = 0;  // of the whole word
};

Result<WordPiece> WordPiece::create(std::string_view vocabulary, const WordPieceOptions& options, std::string_view name) {
  auto pieces = std::make_shared<Pieces>();
  WordPiece result;
  std::int32_t line = 0;
  for (std::size_t at = 0; at < vocabulary.size(); ++line) {
    const std::size_t end = std::min(vocabulary.find('\n', at), vocabulary.size());
    std::string_view piece = vocabulary.substr(at, end - at);
    at = end + 1;
    if (piece.ends_with('\r')) piece.remove_suffix(1);
    const bool inside = piece.size() > 2 && piece.starts_with("##");
    if (inside) piece.remove_prefix(2);
    if (piece.empty()) continue;
    if (!(inside ? pieces->inside : pieces->first).emplace(piece, line).second)
      return fail(ErrorKind::kConfig, fmt::format("{}: line {} repeats a piece of an earlier line: this is no vocabulary of a BERT model", name, line + 1));
    pieces->longest_bytes = std::max(pieces->longest_bytes, piece.size());
  }
  if (pieces->first.empty()) return fail(ErrorKind::kConfig, fmt::format("{}: is empty; the vocab.txt of a BERT model has one piece a line", name));
  for (const auto& [piece, id] : {std::pair{"[CLS]", &result.cls_}, {"[SEP]", &result.sep_}, {"[UNK]", &result.unknown_}}) {
    const auto found = id_of(pieces->first, piece);
    if (!found) return fail(ErrorKind::kConfig, fmt::format("{}: has no {}: only vocabularies of the BERT family can be read", name, piece));
    *id = *found;
  }
  result.pieces_ = std::move(pieces);
  result.options_ = options;
  result.size_ = static_cast<std::size_t>(line);
  return result;
}

bool WordPiece::append_pieces(std::string_view text, std::size_t most, std::vector<std::int32_t>& ids) const {
  return Cutter(*this, most, ids).take_text(text);
}

Tokens WordPiece::encode(std::string_view text, std::size_t max_tokens) const {
  UNDERSTUDY_ASSERT(max_tokens >= 2);
  Tokens tokens;
  tokens.ids.push_back(cls_);
  tokens.truncated = !append_pieces(text, max_tokens - 2, tokens.ids);
  tokens.ids.push_back(sep_);
  return tokens;
}

Tokens WordPiece::encode_pair(std::string_view first, std::string_view second, std::size_t max_tokens) const {
  UNDERSTUDY_ASSERT(max_tokens >= 3);
  const std::size_t room = max_tokens - 3;
  std::vector<std::int32_t> a, b;
  bool whole = append_pieces(first, room, a);
  whole = append_pieces(second, room, b) && whole;
  std::size_t shorter = std::min(a.size(), b.size()), longer = std::max(a.size(), b.size());
  if (shorter + longer > room) {
    whole = false;
    longer = std::max(shorter, room - shorter);
    if (shorter + longer > room) {
      shorter = room / 2;
      longer = room - shorter;
    }
    const bool first_is_longer = a.size() > b.size();
    a.resize(first_is_longer ? longer : shorter);
    b.resize(first_is_longer ? shorter : longer);
  }
  Tokens tokens;
  tokens.truncated = !whole;
  tokens.ids.reserve(a.size() + b.size() + 3);
  tokens.ids.push_back(cls_);
  tokens.ids.insert(tokens.ids.end(), a.begin(), a.end());
  tokens.ids.push_back(sep_);
  tokens.second = tokens.ids.size();
  tokens.ids.insert(tokens.ids.end(), b.begin(), b.end());
  tokens.ids.push_back(sep_);
  return tokens;
}

}  // namespace understudy::neural
