#include "base/redact.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/json_writer.h"

namespace understudy {
namespace {

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
constexpr bool is_word(char c) { return is_digit(c) || is_letter(c) || c == '_' || (static_cast<unsigned char>(c) & 0x80) != 0; }
constexpr bool is_local(char c) { return is_word(c) || c == '.' || c == '%' || c == '+' || c == '-' || c == '\''; }
constexpr bool is_domain(char c) { return is_digit(c) || is_letter(c) || c == '.' || c == '-' || (static_cast<unsigned char>(c) & 0x80) != 0; }

struct Range {
  std::size_t begin = 0;
  std::size_t end = 0;
};

/// JSON inside of a text may stand before an address without white space: "\nme@example.com". The escape is not ours to eat.
std::size_t skip_escape(std::string_view text, std::size_t begin, std::size_t end) {
  if (begin == 0 || text[begin - 1] != '\\' || begin >= end) return begin;
  std::size_t slashes = 0;
  while (slashes < begin && text[begin - 1 - slashes] == '\\') ++slashes;
  if (slashes % 2 == 0) return begin;
  if (text[begin] == 'u') return std::min(begin + 5, end);
  return begin + 1;
}

std::optional<Range> email_at(std::string_view text, std::size_t at_sign, std::size_t from) {
  std::size_t begin = at_sign;
  while (begin > from && is_local(text[begin - 1])) --begin;
  while (begin < at_sign && (text[begin] == '.' || text[begin] == '\'' || text[begin] == '-')) ++begin;
  begin = skip_escape(text, begin, at_sign);
  std::size_t end = at_sign + 1;
  while (end < text.size() && is_domain(text[end])) ++end;
  // The longest that ends in a name of two characters or more which is no number; what comes after it is not the address's.
  while (begin < at_sign && end > at_sign + 1) {
    const std::string_view domain = text.substr(at_sign + 1, end - at_sign - 1);
    const std::size_t dot = domain.rfind('.');
    if (dot == std::string_view::npos || dot == 0) return std::nullopt;
    std::string_view top = domain.substr(dot + 1);
    while (!top.empty() && top.back() == '-') top.remove_suffix(1);
    if (top.size() >= 2 && !std::all_of(top.begin(), top.end(), is_digit)) return Range{begin, at_sign + 1 + dot + 1 + top.size()};
    end = at_sign + 1 + dot;
  }
  return std::nullopt;
}

/// A run of digits and what may stand between them, from a digit (or + or "(") on.
struct Run {
  Range range;
  std::string digits;
  std::vector<std::size_t> groups;   ///< digits of each
  std::string between;               ///< all that is no digit
};

Run run_from(std::string_view text, std::size_t begin) {
  Run run;
  run.range = {begin, begin};
  bool in_group = false;
  for (std::size_t i = begin; i < text.size(); ++i) {
    const char c = text[i];
    if (is_digit(c)) {
      if (!in_group && !run.groups.empty()) {
        // A number has fifteen digits at most: what goes beyond is another one.
        std::size_t group = i;
        while (group < text.size() && is_digit(text[group])) ++group;
        if (run.digits.size() + (group - i) > 15) break;
      }
      if (!in_group) run.groups.push_back(0);
      in_group = true;
      ++run.groups.back();
      run.digits += c;
      run.range.end = i + 1;
      continue;
    }
    const bool separator = c == ' ' || c == '-' || c == '.' || c == '/' || c == '(' || c == ')' || (c == '+' && i == begin);
    // At most two in a row: ") " and " (".
    if (!separator || (i >= begin + 2 && !is_digit(text[i - 1]) && !is_digit(text[i - 2]))) break;
    in_group = false;
    run.between += c;
  }
  // What follows the last digit does not belong to it.
  std::size_t trailing = 0;
  for (std::size_t i = run.range.end; i < text.size() && trailing < run.between.size(); ++i) {
    if (is_digit(text[i])) break;
    ++trailing;
    if (text[i] != ' ' && text[i] != '-' && text[i] != '.' && text[i] != '/' && text[i] != '(' && text[i] != ')') {
      --trailing;
      break;
    }
  }
  run.between.resize(run.between.size() - std::min(trailing, run.between.size()));
  return run;
}

bool is_date_or_address(const Run& run) {
  if (run.groups.size() == 4 && run.between == "..." && std::all_of(run.groups.begin(), run.groups.end(), [](std::size_t n) { return n <= 3; })) return true;
  // 2026-11-28 ..., 28.11.2026 ...: the year in its place, a mark beside it.
  const auto year = [&](std::size_t from) { return run.digits.compare(from, 2, "19") == 0 || run.digits.compare(from, 2, "20") == 0; };
  if (run.groups.size() < 3 || run.between.size() < 2) return false;
  const bool marks = run.between[0] == run.between[1] && (run.between[0] == '-' || run.between[0] == '.' || run.between[0] == '/');
  if (!marks) return false;
  if (run.groups[0] == 4 && run.groups[1] <= 2 && run.groups[2] <= 2) return year(0);
  return run.groups[0] <= 2 && run.groups[1] <= 2 && run.groups[2] == 4 && year(run.groups[0] + run.groups[1]);
}

bool is_phone(std::string_view text, const Run& run) {
  const std::size_t n = run.digits.size();
  if (text[run.range.begin] == '+') return n >= 7 && n <= 15;
  if (n < 9 || n > 15 || is_date_or_address(run)) return false;
  if (run.digits[0] == '0' || text[run.range.begin] == '(') return true;
  // Decimal numbers have one point and nothing else.
  return run.groups.size() >= 2 && run.groups.size() <= 6 && run.between != ".";
}

/// The longest card number that begins where the run does, of single groups apart by one space or dash.
std::optional<Range> card_at(std::string_view text, std::size_t begin) {
  if (text[begin] < '2' || text[begin] > '6') return std::nullopt;
  std::string digits;
  std::optional<Range> found;
  for (std::size_t i = begin; i < text.size() && digits.size() <= 19; ++i) {
    if (is_digit(text[i])) {
      digits += text[i];
      const bool ends = i + 1 == text.size() || !is_digit(text[i + 1]);
      if (ends && digits.size() >= 13 && digits.size() <= 19 && passes_luhn(digits)) found = Range{begin, i + 1};
    } else if ((text[i] != ' ' && text[i] != '-') || i + 1 == text.size() || !is_digit(text[i + 1])) {
      break;
    }
  }
  return found;
}

constexpr std::string_view kEmailMark = "[EMAIL]", kPhoneMark = "[PHONE]", kCardMark = "[CARD]";

std::optional<std::uint32_t> hex4(std::string_view text) {
  if (text.size() < 4) return std::nullopt;
  std::uint32_t value = 0;
  for (const char c : text.substr(0, 4)) {
    const int digit = is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    if (digit < 0) return std::nullopt;
    value = value * 16 + static_cast<std::uint32_t>(digit);
  }
  return value;
}

void append_utf8(std::string& out, std::uint32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | code >> 6);
    out += static_cast<char>(0x80 | (code & 63));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | code >> 12);
    out += static_cast<char>(0x80 | (code >> 6 & 63));
    out += static_cast<char>(0x80 | (code & 63));
  } else {
    out += static_cast<char>(0xF0 | code >> 18);
    out += static_cast<char>(0x80 | (code >> 12 & 63));
    out += static_cast<char>(0x80 | (code >> 6 & 63));
    out += static_cast<char>(0x80 | (code & 63));
  }
}

/// What stands between the quotes of a JSON string, read; nullopt where an escape is none.
std::optional<std::string> unescaped(std::string_view raw) {
  std::string out;
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] != '\\') {
      out += raw[i];
      continue;
    }
    if (++i == raw.size()) return std::nullopt;
    constexpr std::string_view kNames = "\"\\/bfnrt", kMeant = "\"\\/\b\f\n\r\t";
    if (const auto at = kNames.find(raw[i]); at != std::string_view::npos) {
      out += kMeant[at];
      continue;
    }
    if (raw[i] != 'u') return std::nullopt;
    auto code = hex4(raw.substr(i + 1));
    if (!code) return std::nullopt;
    i += 4;
    if (*code >= 0xD800 && *code < 0xDC00 && raw.substr(i + 1, 2) == "\\u") {
      const auto low = hex4(raw.substr(i + 3));
      if (low && *low >= 0xDC00 && *low < 0xE000) {
        code = 0x10000 + ((*code - 0xD800) << 10) + (*low - 0xDC00);
        i += 6;
      }
    }
    append_utf8(out, *code >= 0xD800 && *code < 0xE000 ? 0xFFFD : *code);
  }
  return out;
}

}  // namespace

bool passes_luhn(std::string_view digits) {
  int sum = 0;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    const char c = digits[digits.size() - 1 - i];
    if (!is_digit(c)) return false;
    int value = c - '0';
    if (i % 2 == 1) {
      value *= 2;
      if (value > 9) value -= 9;
    }
    sum += value;
  }
  return !digits.empty() && sum % 10 == 0;
}

Result<Redactor> Redactor::create(const std::vector<std::string>& names) {
  std::uint8_t kinds = 0;
  for (const std::string& name : names) {
    if (name == "email") {
      kinds |= kEmail;
    } else if (name == "phone") {
      kinds |= kPhone;
    } else if (name == "card") {
      kinds |= kCard;
    } else {
      return fail(ErrorKind::kConfig, fmt::format("holds '{}'; known are \"email\", \"phone\" and \"card\"", name));
    }
  }
  return Redactor(kinds);
}

std::string Redactor::text(std::string_view text) const {
  // A mark in the place of a number may leave another one free beside it. Each round takes characters away that no mark has: it ends.
  std::string now(text);
  for (;;) {
    std::string next = text_once(now);
    if (next == now) return now;
    now = std::move(next);
  }
}

std::string Redactor::json(std::string_view json) const {
  std::string now(json);
  for (;;) {
    std::string next = json_once(now);
    if (next == now) return now;
    now = std::move(next);
  }
}

std::string Redactor::text_once(std::string_view text) const {
  std::string out;
  std::size_t from = 0;   // not yet copied
  const auto put = [&](Range range, std::string_view mark) {
    out += text.substr(from, range.begin - from);
    out += mark;
    from = range.end;
  };
  if (kinds_ == 0) return std::string(text);
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (c == '@' && (kinds_ & kEmail)) {
      if (const auto found = email_at(text, i, from)) {
        put(*found, kEmailMark);
        i = from;
        continue;
      }
    }
    const bool starts = is_digit(c) || ((c == '+' || c == '(') && i + 1 < text.size() && is_digit(text[i + 1]));
    const bool inside = i > from && (is_word(text[i - 1]) || (is_digit(c) && i >= from + 2 && (text[i - 1] == '.' || text[i - 1] == ',') && is_digit(text[i - 2])));
    if (!starts || inside || !(kinds_ & (kPhone | kCard))) {
      ++i;
      continue;
    }
    if (is_digit(c) && (kinds_ & kCard)) {
      if (const auto found = card_at(text, i)) {
        put(*found, kCardMark);
        i = from;
        continue;
      }
    }
    const Run run = run_from(text, i);
    const bool in_address = run.range.end < text.size() && (is_word(text[run.range.end]) || text[run.range.end] == '@');
    if ((kinds_ & kPhone) && !in_address && is_phone(text, run)) {
      put(run.range, kPhoneMark);
      i = from;
      continue;
    }
    // Past this group only: another number may begin inside of what looked like one run.
    ++i;
    while (i < text.size() && is_digit(text[i])) ++i;
  }
  out += text.substr(from);
  return out;
}

std::string Redactor::json_once(std::string_view json) const {
  if (kinds_ == 0) return std::string(json);
  std::string out;
  out.reserve(json.size());
  for (std::size_t i = 0; i < json.size();) {
    if (json[i] == '"') {
      std::size_t end = i + 1;
      while (end < json.size() && json[end] != '"') end += json[end] == '\\' ? 2 : 1;
      if (end >= json.size()) return text(json);
      const std::string_view raw = json.substr(i + 1, end - i - 1);
      const auto read = unescaped(raw);
      if (!read) return text(json);
      const std::string redacted = text(*read);
      if (redacted == *read) {
        out += json.substr(i, end + 1 - i);
      } else {
        append_json_string(out, redacted);
      }
      i = end + 1;
      continue;
    }
    if (is_digit(json[i]) && (kinds_ & kCard)) {
      std::size_t end = i;
      while (end < json.size() && (is_digit(json[end]) || json[end] == '.' || json[end] == 'e' || json[end] == 'E' || json[end] == '+' || json[end] == '-')) ++end;
      const std::string_view number = json.substr(i, end - i);
      const auto card = card_at(number, 0);
      const bool whole = card && card->end == number.size() && (i == 0 || json[i - 1] != '-');
      out += whole ? "\"[CARD]\"" : std::string(number);
      i = end;
      continue;
    }
    out += json[i++];
  }
  return out;
}

}  // namespace understudy
