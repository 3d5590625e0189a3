#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

namespace understudy::retrieval {

/// The text's words by their stems (retrieval/porter_stem.h), hashed below kBuckets, in their order. A word is a run of letters and digits; a byte beyond ASCII
/// counts as a letter, ASCII letters are taken in lower case.
std::vector<std::uint32_t> stem_words(std::string_view text);

}  // namespace understudy::retrieval
