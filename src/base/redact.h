#pragma once
/// Personal data replaced before anything is stored: e-mail addresses, phone numbers, card numbers.
///
/// Found are
///   email  local@domain.tld                                                  -> [EMAIL]
///   phone  "+" and 7 to 15 digits; or 9 to 15 digits that begin with 0 or "(" or stand in groups apart by spaces . - / ( );
///          not dates, not addresses like 10.0.0.1                             -> [PHONE]
///   card   13 to 19 digits, alone or in groups apart by a space or a dash, that begin with 2 to 6 and pass Luhn's check -> [CARD]
///
/// It looks at forms, not at meaning: a name, a street or an account number stays, and a number that looks like a phone's goes.
/// What it has replaced it does not touch again: redacting twice is redacting once.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace understudy {

class Redactor {
 public:
  enum Kind : std::uint8_t { kEmail = 1, kPhone = 2, kCard = 4 };

  /// Replaces nothing.
  Redactor() = default;
  explicit Redactor(std::uint8_t kinds) : kinds_(kinds) {}
  /// "email", "phone", "card"; kConfig names an unknown one.
  static Result<Redactor> create(const std::vector<std::string>& names);

  bool any() const { return kinds_ != 0; }
  std::uint8_t kinds() const { return kinds_; }

  /// Plain text. O(bytes); measured 3 ns a byte where nothing is found, 5 ns as JSON.
  std::string text(std::string_view text) const;
  /// JSON: the texts inside it, and whole numbers that are card numbers (they become texts). What was JSON stays JSON of the same shape;
  /// what is none is redacted as plain text.
  std::string json(std::string_view json) const;

 private:
  std::string text_once(std::string_view text) const;
  std::string json_once(std::string_view json) const;
  std::uint8_t kinds_ = 0;
};

/// Luhn's check over decimal digits (ISO/IEC 7812-1); false where there is another character or none.
bool passes_luhn(std::string_view digits);

}  // namespace understudy
