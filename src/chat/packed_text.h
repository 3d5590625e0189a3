#pragma once
/// Text that is only ever appended to and read once, at its end, kept small meanwhile: a thousand streams that wait for their
/// decision hold their logprobs' JSON like this, in about a quarter of its bytes.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace understudy::chat {

class PackedText {
 public:
  /// About 1 us for each 400 bytes, in steps of kBlockBytes.
  void append(std::string_view text);
  bool empty() const { return blocks_.empty() && tail_.empty(); }
  /// Bytes of memory that it holds.
  std::size_t held_bytes() const { return blocks_.capacity() + tail_.capacity(); }
  /// The whole text; leaves nothing behind.
  std::string take();

 private:
  static constexpr std::size_t kBlockBytes = 2048;
  void pack();

  // Vectors, whose reserve allocates what it is told: a string's doubles.
  std::vector<char> blocks_;   ///< [packed size, plain size: 32 bits each][zstd frame], one after the other
  std::vector<char> tail_;     ///< not yet packed
  std::size_t plain_bytes_ = 0;   ///< of all blocks
};

}  // namespace understudy::chat
