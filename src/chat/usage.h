#pragma once
#include <cstdint>

namespace understudy {

/// Tokens of one upstream call, in one convention whatever the provider's: `input` includes cached and cache-write
/// tokens, `output` includes reasoning tokens.
struct Usage {
  std::int64_t input = 0;
  std::int64_t cached_input = 0;
  std::int64_t cache_write_5m = 0;
  std::int64_t cache_write_1h = 0;
  std::int64_t output = 0;
  std::int64_t reasoning = 0;
  bool estimated = false;  ///< counted by us because the provider did not say

  friend bool operator==(const Usage&, const Usage&) = default;
};

}  // namespace understudy
