#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "neural/internal/runtime.h"
#include "neural/wordpiece.h"

namespace understudy::neural::internal {

/// Inputs of one run, padded to one length.
class Batch {
 public:
  Batch(std::size_t rows, std::size_t length) : rows_(rows), length_(length), ids_(rows * length), mask_(rows * length), types_(rows * length) {}
  void set(std::size_t row, const Tokens& tokens) {
    const auto at = static_cast<std::ptrdiff_t>(row * length_);
    std::ranges::copy(tokens.ids, ids_.begin() + at);
    std::fill_n(mask_.begin() + at, tokens.ids.size(), 1);
    if (tokens.second > 0) std::fill_n(types_.begin() + at + static_cast<std::ptrdiff_t>(tokens.second), tokens.ids.size() - tokens.second, 1);
  }
  TokenBatch view() const { return {rows_, length_, ids_, mask_, types_}; }
  std::size_t length() const { return length_; }

 private:
  std::size_t rows_, length_;
  std::vector<std::int32_t> ids_, mask_, types_;
};

}  // namespace understudy::neural::internal
