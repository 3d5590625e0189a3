#pragma once
/// An encoder for those who may not wait: threads of its own compute vectors, for as many callers at a time as have come meanwhile.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "neural/encoder.h"

namespace understudy::neural {

struct EncoderPoolOptions {
  unsigned threads = 1;          ///< no more than the encoder's streams can be of use
  std::size_t most_waiting = 64; ///< texts; beyond, a text is turned away: its caller goes on without a vector
  std::size_t most_bulk = 256;   ///< the same for those of Lane::kBulk
  std::size_t batch_texts = 16;
};

/// Who is served first. Texts in bulk get what is left of a batch, but a quarter of it at least, so that neither waits for ever.
enum class Lane : std::uint8_t { kRequest, kBulk };

/// Thread-safe. Counts are since the start.
class EncoderPool {
 public:
  explicit EncoderPool(std::unique_ptr<TextEncoder> encoder, EncoderPoolOptions options = {});
  ~EncoderPool();  ///< answers what waits, then joins
  EncoderPool(const EncoderPool&) = delete;
  EncoderPool& operator=(const EncoderPool&) = delete;

  /// Calls `done` once, on a thread of the pool, with the text's vector: empty where the runtime failed. False: turned away, and `done` is
  /// never called. `done` must not block. A text of usual length takes 1 to 5 ms, and as much for what waits before it.
  [[nodiscard]] bool embed(std::string text, std::move_only_function<void(std::span<const float>)> done, Lane lane = Lane::kRequest);

  const TextEncoder& encoder() const;
  const EncoderIdentity& identity() const;
  /// The identity's key as a number, never 0.
  std::uint64_t key() const { return key_; }
  static std::uint64_t key_of(const EncoderIdentity& identity);
  std::size_t embedded() const;
  std::size_t turned_away() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  std::uint64_t key_ = 0;
};

}  // namespace understudy::neural
