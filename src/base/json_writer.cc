#include "base/json_writer.h"

#include <fmt/compile.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <iterator>

namespace understudy {
namespace {

/// Length of the valid UTF-8 sequence that starts at `p` (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF);
/// 0 where it is not valid.
std::size_t utf8_length(const unsigned char* p, std::size_t left) {
  const auto tail = [&](std::size_t i, unsigned char low = 0x80, unsigned char high = 0xbf) { return i < left && p[i] >= low && p[i] <= high; };
  if (p[0] < 0x80) return 1;
  if (p[0] >= 0xc2 && p[0] <= 0xdf) return tail(1) ? 2 : 0;
  if (p[0] >= 0xe0 && p[0] <= 0xef) {
    const unsigned char low = p[0] == 0xe0 ? 0xa0 : 0x80;
    const unsigned char high = p[0] == 0xed ? 0x9f : 0xbf;
    return tail(1, low, high) && tail(2) ? 3 : 0;
  }
  if (p[0] >= 0xf0 && p[0] <= 0xf4) {
    const unsigned char low = p[0] == 0xf0 ? 0x90 : 0x80;
    const unsigned char high = p[0] == 0xf4 ? 0x8f : 0xbf;
    return tail(1, low, high) && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

constexpr std::array<bool, 256> make_plain_table() {
  std::array<bool, 256> plain{};
  for (int c = 0x20; c < 0x80; ++c) plain[static_cast<std::size_t>(c)] = c != '"' && c != '\\';
  return plain;
}
constexpr auto kPlain = make_plain_table();

/// Whether the eight bytes at `p` are ASCII that needs no escape.
bool eight_plain(const unsigned char* p) {
  constexpr std::uint64_t kOnes = 0x0101010101010101u;
  std::uint64_t bytes;
  std::memcpy(&bytes, p, 8);
  const auto equals = [&](unsigned char c) {
    const std::uint64_t x = bytes ^ (kOnes * c);
    return (x - kOnes) & ~x;
  };
  const std::uint64_t below_space = (bytes - kOnes * 0x20) & ~bytes;
  return ((bytes | below_space | equals('"') | equals('\\')) & (kOnes * 0x80)) == 0;
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  out.push_back('"');
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  std::size_t i = 0;
  while (i < text.size()) {
    std::size_t run = i;
    while (run + 8 <= text.size() && eight_plain(p + run)) run += 8;
    while (run < text.size() && kPlain[p[run]]) ++run;
    out.append(text, i, run - i);
    i = run;
    if (i == text.size()) break;
    const unsigned char c = p[i];
    switch (c) {
      case '"': out += "\\\""; ++i; break;
      case '\\': out += "\\\\"; ++i; break;
      case '\n': out += "\\n"; ++i; break;
      case '\r': out += "\\r"; ++i; break;
      case '\t': out += "\\t"; ++i; break;
      default:
        if (c < 0x20) {
          fmt::format_to(std::back_inserter(out), FMT_COMPILE("\\u{:04x}"), c);
          ++i;
        } else if (const std::size_t n = utf8_length(p + i, text.size() - i); n > 0) {
          out.append(text, i, n);
          i += n;
        } else {
          out += "\xef\xbf\xbd";
          ++i;
        }
    }
  }
  out.push_back('"');
}

void append_fixed(std::string& out, double value, int decimals) {
  std::array<char, 400> digits;  // the largest double has 309 before the point
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, std::chars_format::fixed, std::clamp(decimals, 0, 60)).ptr;
  out.append(digits.data(), end);
}

void JsonWriter::comma() {
  if (need_comma_) out_.push_back(',');
  need_comma_ = true;
}

JsonWriter& JsonWriter::open(char c) {
  comma();
  out_.push_back(c);
  need_comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::close(char c) {
  out_.push_back(c);
  need_comma_ = true;
  return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
  comma();
  append_json_string(out_, name);
  out_.push_back(':');
  need_comma_ = false;
  return *this;
}

JsonWriter& JsonWriter::string(std::string_view text) {
  comma();
  append_json_string(out_, text);
  return *this;
}

JsonWriter& JsonWriter::integer(std::int64_t value) {
  comma();
  std::array<char, 20> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  out_.append(digits.data(), end);
  return *this;
}

JsonWriter& JsonWriter::boolean(bool value) { return raw(value ? "true" : "false"); }

JsonWriter& JsonWriter::null() { return raw("null"); }

JsonWriter& JsonWriter::number(double value) {
  if (!std::isfinite(value)) return null();
  comma();
  fmt::format_to(std::back_inserter(out_), FMT_COMPILE("{}"), value);
  return *this;
}

JsonWriter& JsonWriter::fixed(double value, int decimals) {
  if (!std::isfinite(value)) return null();
  comma();
  append_fixed(out_, value, decimals);
  return *this;
}

JsonWriter& JsonWriter::raw(std::string_view json) {
  comma();
  out_.append(json);
  return *this;
}

}  // namespace understudy
