#pragma once
#include <cstddef>
#include <string_view>

#include "chat/answer.h"

namespace understudy::chat::internal {

/// Reads an array of token logprobs in the form in which servers write it, straight from the bytes: three times as fast as
/// the JSON parser's walk, which is half of the work on an answer. `text` begins at the array's '['.
/// @return the bytes that the array takes, its logprobs appended to `series`; or 0, with `series` as it was, where the text
///         holds anything out of the ordinary (white space but single blanks, nested values, escapes in keys), which says
///         nothing about its being right or wrong: that is for the parser
std::size_t scan_token_logprobs(std::string_view text, LogprobSeries& series);

}  // namespace understudy::chat::internal
