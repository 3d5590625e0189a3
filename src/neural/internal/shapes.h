#pragma once
/// How texts are put together for the runtime, which prepares itself anew for each shape it has not seen: few shapes, little padding.

#include <cstddef>
#include <span>
#include <vector>

namespace understudy::neural::internal {

inline constexpr std::size_t kMostRows = 32, kMostBatchTokens = 1024;

/// The smallest of 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, ... that holds `tokens`, but not over `most`.
std::size_t padded_length(std::size_t tokens, std::size_t most);

struct Shape {
  std::size_t length = 0;
  std::vector<std::size_t> rows;  ///< places of the inputs; as many as a power of two
};

/// Every input once, like lengths together: rows * length <= kMostBatchTokens but for single rows.
std::vector<Shape> shapes_for(std::span<const std::size_t> tokens, std::size_t most);

}  // namespace understudy::neural::internal
