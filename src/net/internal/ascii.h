#pragma once
/// Byte classes of HTTP (RFC 9110 section 5.6.2), for the codec's inner loops.

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace understudy::net::internal {

inline constexpr std::array<bool, 256> kTokenBytes = [] {
  std::array<bool, 256> table{};
  for (int c = 0; c < 256; ++c) {
    const bool alphanumeric = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    table[static_cast<std::size_t>(c)] = alphanumeric;
  }
  for (const char c : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<std::uint8_t>(c)] = true;
  return table;
}();

inline constexpr bool is_token_byte(char c) { return kTokenBytes[static_cast<std::uint8_t>(c)]; }
inline constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
inline constexpr char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

/// The value of a hexadecimal digit, or -1.
inline constexpr int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  const char l = lower(c);
  return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

inline constexpr std::uint64_t eight_of(std::uint8_t byte) { return 0x0101010101010101u * byte; }

/// Whether any of eight bytes is a control byte (below 0x20, or 0x7f). May also say so of a byte that stands behind one.
inline constexpr bool has_control_byte(std::uint64_t bytes) {
  const std::uint64_t del = bytes ^ eight_of(0x7f);
  const std::uint64_t low = (bytes - eight_of(0x20)) & ~bytes;
  return ((low | ((del - eight_of(1)) & ~del)) & eight_of(0x80)) != 0;
}

/// True when every byte may stand in a field value: no control bytes but tab. Eight at a time: fields are short, so that
/// wider registers would spend their time on the ends.
inline bool is_field_value(std::string_view text) {
  bool plain = true;
  std::size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    std::uint64_t bytes;
    std::memcpy(&bytes, text.data() + i, 8);
    plain &= !has_control_byte(bytes);
  }
  for (; i < text.size(); ++i) {
    const auto b = static_cast<std::uint8_t>(text[i]);
    plain &= b >= 0x20 && b != 0x7f;
  }
  if (plain) [[likely]] return true;
  for (const char c : text) {
    const auto b = static_cast<std::uint8_t>(c);
    if ((b < 0x20 && b != '\t') || b == 0x7f) return false;
  }
  return true;
}

/// True when every byte may stand in a request target: visible ASCII but '#'.
inline bool is_target(std::string_view text) {
  unsigned bad = 0;
  for (const char c : text) {
    const auto b = static_cast<std::uint8_t>(c);
    bad |= static_cast<unsigned>(b < 0x21) | static_cast<unsigned>(b > 0x7e) | static_cast<unsigned>(b == '#');
  }
  return bad == 0;
}

inline std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// Input bytes made safe for an error message: at most 40, others than visible ASCII as '?'.
inline std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 40)) out.push_back(c >= 0x20 && c < 0x7f ? c : '?');
  if (text.size() > 40) out += "...";
  return out;
}

}  // namespace understudy::net::internal
