#include "retrieval/stem_words.h"

#include <string>

#include "base/hash.h"
#include "retrieval/hashed_text.h"
#include "retrieval/porter_stem.h"

namespace understudy::retrieval {

std::vector<std::uint32_t> stem_words(std::string_view text) {
  std::vector<std::uint32_t> out;
  std::string word;
  const auto flush = [&] {
    if (word.empty()) return;
    out.push_back(static_cast<std::uint32_t>(hash64(porter_stem(word)) % kBuckets));
    word.clear();
  };
  for (const char c : text) {
    if (c >= 'A' && c <= 'Z') word += static_cast<char>(c + ('a' - 'A'));
    else if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || static_cast<unsigned char>(c) >= 0x80) word += c;
    else flush();
  }
  flush();
  return out;
}

}  // namespace understudy::retrieval
