#pragma once
/// Text for terminals: colour, width, and texts that come from outside made safe to print. Pure but for stdout_style().

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace understudy::app {

struct TextStyle {
  bool color = false;
  std::size_t width = 0;  ///< columns; 0: no limit (not a terminal: nothing is cut, so that grep finds it)
  bool utf8 = true;       ///< what draws lines and bars may use more than ASCII
};

/// What decides how to print.
struct TerminalFacts {
  bool is_terminal = false;
  std::size_t columns = 0;                 ///< as the terminal says; 0: it does not
  const char* no_color = nullptr;          ///< NO_COLOR: any value but "" turns colour off (no-color.org)
  const char* term = nullptr;              ///< TERM: "dumb" turns colour off
  const char* columns_variable = nullptr;  ///< COLUMNS, where the terminal does not say
  const char* locale = nullptr;            ///< first that is set of LC_ALL, LC_CTYPE, LANG; without UTF-8 in it: ASCII. nullptr: not looked at
};
TextStyle choose_style(const TerminalFacts& facts);

/// choose_style for standard output as it is now.
TextStyle stdout_style();

enum class Ink : std::uint8_t { kNone, kBold, kDim, kGreen, kYellow, kRed };

/// `text` in that ink, or as it is where the style has no colour.
std::string paint(const TextStyle& style, Ink ink, std::string_view text);

/// Columns that UTF-8 `text` takes: 0 for combining marks, 2 for East Asian wide characters and emoji, else 1.
std::size_t display_width(std::string_view text);

/// The longest beginning that fits `width` columns, with "…" at its end where something was cut.
std::string truncate(std::string_view text, std::size_t width);

/// `text` padded with spaces to `width` columns; longer text is left as it is.
std::string pad_right(std::string_view text, std::size_t width);
std::string pad_left(std::string_view text, std::size_t width);

/// Text from outside (prompts, names, error messages) made safe: control characters (a prompt could hold terminal commands),
/// characters that turn the direction of writing, and bytes that are not UTF-8 become "\x1b" and the like. New lines and
/// tabs stay with `keep_lines`.
std::string printable(std::string_view text, bool keep_lines = false);

/// One line of it: white space runs become one space, then printable, then cut to `width` columns.
std::string excerpt(std::string_view text, std::size_t width);

/// Breaks at spaces so that lines fit `width` columns (0: no limit); every line but the first begins with `indent` spaces.
std::string wrap(std::string_view text, std::size_t width, std::size_t indent = 0);

/// One character from "▁" to "█" a value, scaled from 0 to the greatest; NaN is a space.
std::string sparkline(std::span<const double> values);

/// "[#####.....]", `width` columns with the brackets (at least 3); `done` is clamped to 0..1.
std::string progress_bar(double done, std::size_t width);

}  // namespace understudy::app
