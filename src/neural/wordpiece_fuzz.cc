// Whatever the bytes are, a text is cut into ids of the vocabulary within the limit; and a vocabulary is read or refused with a message.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "neural/wordpiece.h"

namespace {

using understudy::neural::Tokens;
using understudy::neural::WordPiece;

void check(const WordPiece& wordpiece, const Tokens& tokens, std::size_t most) {
  if (tokens.ids.size() < 2 || tokens.ids.size() > most) std::abort();
  if (tokens.ids.front() != wordpiece.cls() || tokens.ids.back() != wordpiece.sep()) std::abort();
  for (const auto id : tokens.ids)
    if (id < 0 || static_cast<std::size_t>(id) >= wordpiece.size()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto kSmall = WordPiece::create("[UNK]\n[CLS]\n[SEP]\na\n##a\nb\n##b\ncard\n##s\n\xc3\xa9\n\xe4\xb8\xad\n!\n", {});
  static const auto kPlain = WordPiece::create("[UNK]\n[CLS]\n[SEP]\nA\n##a\n\xc3\xa9\n!\n", {.lowercase = false, .strip_accents = false, .split_han = false});
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto* wordpiece : {&kSmall, &kPlain}) {
    check(**wordpiece, (*wordpiece)->encode(text, 64), 64);
    check(**wordpiece, (*wordpiece)->encode_pair(text.substr(0, size / 2), text.substr(size / 2), 33), 33);
  }
  if (const auto made = WordPiece::create(text, {}); made) {
    check(*made, made->encode("cards \xe4\xb8\xad!", 16), 16);
  } else if (made.error().message.empty()) {
    std::abort();
  }
  return 0;
}
