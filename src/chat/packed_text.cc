#include "chat/packed_text.h"

#include <zstd.h>

#include <array>
#include <cstring>
#include <memory>
#include <utility>

#include "base/assert.h"

namespace understudy::chat {
namespace {

constexpr int kLevel = 1;

/// What every element of logprobs.content looks like: with it the first element of a block packs as well as the later ones.
constexpr std::string_view kDictionary =
    R"({"token":" the","logprob":-0.0,"bytes":[32,116,104,101],"top_logprobs":[{"token":" the","logprob":-0.01,"bytes":[32,116,104,101]},)"
    R"({"token":" a","logprob":-1.2,"bytes":[32,97]},{"token":",","logprob":-2.3,"bytes":[44]}]},{"token":".","logprob":-0.4,"bytes":[46],"top_logprobs":[{"token":)";

struct Free {
  void operator()(ZSTD_CCtx* c) const { ZSTD_freeCCtx(c); }
  void operator()(ZSTD_DCtx* d) const { ZSTD_freeDCtx(d); }
  void operator()(ZSTD_CDict* c) const { ZSTD_freeCDict(c); }
  void operator()(ZSTD_DDict* d) const { ZSTD_freeDDict(d); }
};

/// Working memory of one thread, about 300 KiB, made when it first packs.
struct Packer {
  std::unique_ptr<ZSTD_CCtx, Free> compress{ZSTD_createCCtx()};
  std::unique_ptr<ZSTD_DCtx, Free> decompress{ZSTD_createDCtx()};
  std::unique_ptr<ZSTD_CDict, Free> compress_dictionary{ZSTD_createCDict(kDictionary.data(), kDictionary.size(), kLevel)};
  std::unique_ptr<ZSTD_DDict, Free> decompress_dictionary{ZSTD_createDDict(kDictionary.data(), kDictionary.size())};
  std::string buffer;
};

Packer& packer() {
  thread_local Packer mine;
  return mine;
}

}  // namespace

void PackedText::append(std::string_view text) {
  if (tail_.size() + text.size() > tail_.capacity()) tail_.reserve(tail_.size() + text.size() + 256);
  tail_.insert(tail_.end(), text.begin(), text.end());
  if (tail_.size() >= kBlockBytes) pack();
}

void PackedText::pack() {
  Packer& p = packer();
  p.buffer.resize(ZSTD_compressBound(tail_.size()));
  const std::size_t size = ZSTD_compress_usingCDict(p.compress.get(), p.buffer.data(), p.buffer.size(), tail_.data(), tail_.size(), p.compress_dictionary.get());
  UNDERSTUDY_ASSERT(!ZSTD_isError(size));
  const std::array<std::uint32_t, 2> sizes{static_cast<std::uint32_t>(size), static_cast<std::uint32_t>(tail_.size())};
  const auto* const head = reinterpret_cast<const char*>(sizes.data());
  const std::size_t needed = blocks_.size() + sizeof sizes + size;
  if (needed > blocks_.capacity()) blocks_.reserve(needed + needed / 4);
  blocks_.insert(blocks_.end(), head, head + sizeof sizes);
  blocks_.insert(blocks_.end(), p.buffer.data(), p.buffer.data() + size);
  plain_bytes_ += tail_.size();
  tail_.clear();
}

std::string PackedText::take() {
  std::string out;
  out.reserve(plain_bytes_ + tail_.size());
  out.resize(plain_bytes_);
  std::size_t at = 0;
  for (std::size_t read = 0; read < blocks_.size();) {
    std::array<std::uint32_t, 2> sizes;
    std::memcpy(sizes.data(), blocks_.data() + read, sizeof sizes);
    read += sizeof sizes;
    Packer& p = packer();
    const std::size_t got = ZSTD_decompress_usingDDict(p.decompress.get(), out.data() + at, out.size() - at, blocks_.data() + read, sizes[0], p.decompress_dictionary.get());
    UNDERSTUDY_ASSERT(got == sizes[1]);
    read += sizes[0];
    at += got;
  }
  out.append(tail_.data(), tail_.size());
  *this = PackedText();
  return out;
}

}  // namespace understudy::chat
