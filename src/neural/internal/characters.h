#pragma once
/// Classes of characters as the tokenizers of BERT models know them. Above U+007F by utf8proc's tables, less
/// what these tokenizers' older ones (Unicode 8) do not know.

#include <cstdint>

namespace understudy::neural::internal {

enum class AsciiKind : std::uint8_t { kOther, kUpper, kBlank, kPunctuation, kDropped };
AsciiKind ascii_kind(char c);

bool is_dropped(std::int32_t c);      ///< control, format, private use; U+FFFD
bool is_blank(std::int32_t c);        ///< white space, line ends too
bool is_han(std::int32_t c);          ///< the ranges of ideographs that BERT cuts; no kana, no hangul
bool is_accent(std::int32_t c);       ///< category Mn
bool is_punctuation(std::int32_t c);  ///< categories P*, and all of ASCII's that is no letter, digit, blank or control

}  // namespace understudy::neural::internal
