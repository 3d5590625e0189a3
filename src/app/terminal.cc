#include "app/terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>

namespace understudy::app {
namespace {

constexpr std::size_t kDefaultColumns = 100;
constexpr std::size_t kLeastColumns = 40;

/// One character of UTF-8 text.
struct Character {
  char32_t code = 0;
  std::size_t bytes = 1;
  bool valid = false;
};

Character character_at(std::string_view text, std::size_t pos) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(pos);
  if (first < 0x80) return {first, 1, true};
  const std::size_t length = first >= 0xf0 && first < 0xf5   ? 4
                             : first >= 0xe0 && first < 0xf0 ? 3
                             : first >= 0xc2 && first < 0xe0 ? 2
                                                             : 0;
  if (length == 0 || pos + length > text.size()) return {first, 1, false};
  char32_t code = first & (0xff >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(pos + i) & 0xc0) != 0x80) return {first, 1, false};
    code = code << 6 | (byte(pos + i) & 0x3f);
  }
  const char32_t least = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000;
  if (code < least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return {first, 1, false};
  return {code, length, true};
}

struct Range {
  char32_t first, last;
};

bool inside(std::span<const Range> ranges, char32_t code) {
  return std::any_of(ranges.begin(), ranges.end(), [&](Range r) { return code >= r.first && code <= r.last; });
}

// The blocks that matter in practice, after Unicode's EastAsianWidth.txt and general categories Mn, Me and Cf.
constexpr std::array<Range, 10> kWide{{{0x1100, 0x115f},
                                       {0x2e80, 0x303e},
                                       {0x3041, 0xa4cf},
                                       {0xa960, 0xa97f},
                                       {0xac00, 0xd7a3},
                                       {0xf900, 0xfaff},
                                       {0xfe30, 0xfe6f},
                                       {0xff00, 0xff60},
                                       {0x1f300, 0x1faff},
                                       {0x20000, 0x3fffd}}};
constexpr std::array<Range, 7> kZero{{{0x0300, 0x036f},
                                      {0x1ab0, 0x1aff},
                                      {0x1dc0, 0x1dff},
                                      {0x200b, 0x200d},
                                      {0x20d0, 0x20ff},
                                      {0xfe00, 0xfe0f},
                                      {0xfe20, 0xfe2f}}};
constexpr std::array<Range, 4> kTurnsDirection{{{0x200e, 0x200f}, {0x202a, 0x202e}, {0x2066, 0x2069}, {0x061c, 0x061c}}};

std::size_t width_of(const Character& c) {
  if (!c.valid) return 1;
  if (c.code < 0x300) return 1;
  return inside(kZero, c.code) ? 0 : inside(kWide, c.code) ? 2 : 1;
}

bool is_control(char32_t code) { return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029; }

}  // namespace

TextStyle choose_style(const TerminalFacts& facts) {
  TextStyle style;
  if (facts.locale != nullptr) {
    std::string locale(facts.locale);
    std::transform(locale.begin(), locale.end(), locale.begin(), [](unsigned char c) { return std::tolower(c); });
    style.utf8 = locale.find("utf-8") != std::string::npos || locale.find("utf8") != std::string::npos;
  }
  if (!facts.is_terminal) return style;
  const bool refused = facts.no_color != nullptr && *facts.no_color != '\0';
  const bool dumb = facts.term != nullptr && std::strcmp(facts.term, "dumb") == 0;
  style.color = !refused && !dumb;
  style.width = facts.columns;
  if (style.width == 0 && facts.columns_variable != nullptr) {
    std::from_chars(facts.columns_variable, facts.columns_variable + std::strlen(facts.columns_variable), style.width);
  }
  style.width = style.width == 0 ? kDefaultColumns : std::max(style.width, kLeastColumns);
  return style;
}

TextStyle stdout_style() {
  TerminalFacts facts;
  facts.is_terminal = ::isatty(STDOUT_FILENO) == 1;
  winsize size{};
  if (facts.is_terminal && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) facts.columns = size.ws_col;
  facts.no_color = std::getenv("NO_COLOR");
  facts.term = std::getenv("TERM");
  facts.columns_variable = std::getenv("COLUMNS");
  facts.locale = "";
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    facts.locale = value;
    break;
  }
  return choose_style(facts);
}

std::string paint(const TextStyle& style, Ink ink, std::string_view text) {
  static constexpr std::array<std::string_view, 6> kCodes{"", "1", "2", "32", "33", "31"};
  if (!style.color || ink == Ink::kNone || text.empty()) return std::string(text);
  return fmt::format("\x1b[{}m{}\x1b[0m", kCodes[static_cast<std::size_t>(ink)], text);
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  for (std::size_t i = 0; i < text.size();) {
    const Character c = character_at(text, i);
    width += width_of(c);
    i += c.bytes;
  }
  return width;
}

std::string truncate(std::string_view text, std::size_t width) {
  if (width == 0) return {};
  std::size_t used = 0;
  std::size_t fits = 0;  // bytes that leave room for the mark
  for (std::size_t i = 0; i < text.size();) {
    const Character c = character_at(text, i);
    used += width_of(c);
    if (used > width) return std::string(text.substr(0, fits)) + "…";
    i += c.bytes;
    if (used < width) fits = i;
  }
  return std::string(text);
}

std::string pad_right(std::string_view text, std::size_t width) {
  const std::size_t used = display_width(text);
  return std::string(text) + std::string(width > used ? width - used : 0, ' ');
}

std::string pad_left(std::string_view text, std::size_t width) {
  const std::size_t used = display_width(text);
  return std::string(width > used ? width - used : 0, ' ') + std::string(text);
}

std::string printable(std::string_view text, bool keep_lines) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const Character c = character_at(text, i);
    if (!c.valid) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned>(c.code));
    } else if (keep_lines && (c.code == '\n' || c.code == '\t')) {
      out += static_cast<char>(c.code);
    } else if (is_control(c.code) && c.code < 0x80) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned>(c.code));
    } else if (is_control(c.code) || inside(kTurnsDirection, c.code)) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c.code));
    } else {
      out += text.substr(i, c.bytes);
    }
    i += c.bytes;
  }
  return out;
}

std::string excerpt(std::string_view text, std::size_t width) {
  std::string line;
  bool space = false;
  for (const char c : text) {
    if (c == ' ' || c == '\n' || c == '\t' || c == '\r') {
      space = !line.empty();
      continue;
    }
    if (space) line += ' ';
    space = false;
    line += c;
    if (line.size() > width * 8 + 64) break;  // more than enough for `width` columns of the widest characters
  }
  return truncate(printable(line), width);
}

std::string wrap(std::string_view text, std::size_t width, std::size_t indent) {
  if (width == 0) return std::string(text);
  std::string out;
  std::size_t used = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    const std::string_view word = text.substr(at, end - at);
    const std::size_t columns = display_width(word);
    if (used > 0 && used + 1 + columns > width) {
      out += '\n';
      out.append(indent, ' ');
      used = indent;
    } else if (at > 0) {
      out += ' ';
      ++used;
    }
    out += word;
    used += columns;
    at = end + 1;
  }
  return out;
}

std::string sparkline(std::span<const double> values) {
  static constexpr std::array<std::string_view, 8> kBars{"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  double most = 0;
  for (const double value : values) {
    if (std::isfinite(value)) most = std::max(most, value);
  }
  std::string out;
  for (const double value : values) {
    if (!std::isfinite(value)) {
      out += ' ';
      continue;
    }
    const double scaled = most > 0 ? std::clamp(value / most, 0.0, 1.0) * 7.0 : 0.0;
    out += kBars[static_cast<std::size_t>(std::lround(scaled))];
  }
  return out;
}

std::string progress_bar(double done, std::size_t width) {
  const std::size_t inner = std::max<std::size_t>(width, 3) - 2;
  const double share = std::isfinite(done) ? std::clamp(done, 0.0, 1.0) : 0.0;
  const auto filled = static_cast<std::size_t>(share * static_cast<double>(inner));  // full only when all is done
  return "[" + std::string(filled, '#') + std::string(inner - filled, '.') + "]";
}

}  // namespace understudy::app
