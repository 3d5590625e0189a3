#pragma once
/// An encoder for tests whose tokens have one direction a word, so that cosines are known.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "neural/encoder.h"

namespace understudy::specialists::testing {

class WordEncoder : public neural::TextEncoder {
 public:
  WordEncoder() {
    identity_.weights_sha256 = "words";
    auto made = neural::WordPiece::create("[PAD]\n[UNK]\n[CLS]\n[SEP]\nviolin\nmaker\nharbour\nlantern\nglacier\nof\nthe\nwho\nmade\nsomebody\n", {});
    if (!made) std::abort();
    tokenizer_.emplace(std::move(*made));
  }
  const neural::EncoderIdentity& identity() const override { return identity_; }
  std::size_t dimension() const override { return tokenizer_->size(); }
  std::size_t max_tokens() const override { return 64; }
  const neural::WordPiece& tokenizer() const override { return *tokenizer_; }
  Result<void> embed(std::span<const std::string_view> texts, std::span<float> vectors) const override {
    for (std::size_t t = 0; t < texts.size(); ++t) {
      const auto out = vectors.subspan(t * dimension(), dimension());
      std::fill(out.begin(), out.end(), 0.0f);
      double square = 0;
      for (const std::int32_t id : tokenizer_->encode(texts[t], max_tokens()).ids) ++out[static_cast<std::size_t>(id)];
      for (const float v : out) square += static_cast<double>(v) * static_cast<double>(v);
      for (float& v : out) v /= static_cast<float>(std::sqrt(square));
    }
    return {};
  }
  Result<std::vector<float>> token_vectors(const neural::Tokens& tokens) const override {
    ++reads_;
    std::vector<float> out(tokens.ids.size() * dimension());
    for (std::size_t t = 0; t < tokens.ids.size(); ++t) out[t * dimension() + static_cast<std::size_t>(tokens.ids[t])] = 2;
    return out;
  }
  std::size_t reads() const { return reads_; }

 private:
  neural::EncoderIdentity identity_;
  std::optional<neural::WordPiece> tokenizer_;
  mutable std::atomic<std::size_t> reads_{0};
};

}  // namespace understudy::specialists::testing
