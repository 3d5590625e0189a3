#include "neural/internal/shapes.h"

#include <algorithm>
#include <bit>
#include <numeric>

namespace understudy::neural::internal {

std::size_t padded_length(std::size_t tokens, std::size_t most) {
  if (tokens <= 32) return std::min((tokens + 7) / 8 * 8, most);
  const std::size_t power = std::bit_ceil(tokens);
  return std::min(tokens <= power / 4 * 3 ? power / 4 * 3 : power, most);
}

std::vector<Shape> shapes_for(std::span<const std::size_t> tokens, std::size_t most) {
  std::vector<std::size_t> order(tokens.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto length = [&](std::size_t i) { return padded_length(tokens[i], most); };
  std::ranges::stable_sort(order, {}, length);
  std::vector<Shape> shapes;
  for (std::size_t at = 0; at < order.size();) {
    const std::size_t here = length(order[at]);
    std::size_t same = at;
    while (same < order.size() && length(order[same]) == here) ++same;
    while (at < same) {
      const std::size_t room = std::clamp<std::size_t>(kMostBatchTokens / here, 1, kMostRows);
      const std::size_t rows = std::bit_floor(std::min(same - at, room));
      shapes.push_back({here, {order.begin() + static_cast<std::ptrdiff_t>(at), order.begin() + static_cast<std::ptrdiff_t>(at + rows)}});
      at += rows;
    }
  }
  return shapes;
}

}  // namespace understudy::neural::internal
