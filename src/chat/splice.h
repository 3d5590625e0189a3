#pragma once
/// A JSON text with some places rewritten, as a gather list over the original bytes.

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>

#include "base/assert.h"
#include "chat/span.h"

namespace understudy::chat {

/// At most eight edits; each replacement must outlive the gather list. No allocation.
class Splice {
 public:
  static constexpr std::size_t kMaxEdits = 8;
  static constexpr std::size_t kMaxPieces = 2 * kMaxEdits + 1;

  explicit Splice(std::string_view text) : text_(text) {}

  void replace(Span place, std::string_view with) { add(place, with); }
  void insert(std::uint32_t at, std::string_view what) { add({at, at}, what); }

  struct Pieces {
    std::array<std::string_view, kMaxPieces> data;
    std::size_t count = 0;
    std::size_t bytes = 0;
    void push(std::string_view piece) {
      if (piece.empty()) return;
      data[count++] = piece;
      bytes += piece.size();
    }
    const std::string_view* begin() const { return data.data(); }
    const std::string_view* end() const { return data.data() + count; }
  };

  /// Edits are applied in the order of their places; they must not overlap.
  Pieces pieces() {
    for (std::size_t i = 1; i < count_; ++i) {  // few, and mostly in order: std::stable_sort would allocate
      for (std::size_t j = i; j > 0 && edits_[j].place.begin < edits_[j - 1].place.begin; --j) std::swap(edits_[j], edits_[j - 1]);
    }
    Pieces out;
    std::uint32_t from = 0;
    for (std::size_t i = 0; i < count_; ++i) {
      const Edit& edit = edits_[i];
      UNDERSTUDY_ASSERT(edit.place.begin >= from);
      out.push(text_.substr(from, edit.place.begin - from));
      out.push(edit.with);
      from = edit.place.end;
    }
    out.push(text_.substr(from));
    return out;
  }

 private:
  struct Edit {
    Span place;
    std::string_view with;
  };
  void add(Span place, std::string_view with) {
    UNDERSTUDY_ASSERT(count_ < kMaxEdits && place.end <= text_.size());
    edits_[count_++] = {place, with};
  }

  std::string_view text_;
  std::array<Edit, kMaxEdits> edits_;
  std::size_t count_ = 0;
};

}  // namespace understudy::chat
