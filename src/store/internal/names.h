#pragma once
/// Texts that repeat (tasks, models, reasons...) are stored once in `names` and referred to by number.

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/hash.h"
#include "store/internal/sqlite.h"

namespace understudy::store {

class NameTable {
 public:
  static Result<NameTable> create(Database& db);

  /// The text's number, made where it is new; 0 for "". Inside a write transaction.
  Result<std::int64_t> id(std::string_view text);

  /// After a rollback, or when rows of `names` were removed.
  void forget() { known_.clear(); }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return hash64(text); }
  };
  static constexpr std::size_t kMaxKnown = 100'000;

  Statement find_;
  Statement insert_;
  std::unordered_map<std::string, std::int64_t, Hash, std::equal_to<>> known_;
};

/// Remembers the last text of one column, which is most often also the next.
class NameColumn {
 public:
  Result<std::int64_t> id(NameTable& table, std::string_view text) {
    if (text.empty()) return 0;
    if (id_ != 0 && text == text_) return id_;
    auto found = table.id(text);
    if (found) {
      text_ = text;
      id_ = *found;
    }
    return found;
  }
  void forget() { id_ = 0; }

 private:
  std::string text_;
  std::int64_t id_ = 0;
};

}  // namespace understudy::store
