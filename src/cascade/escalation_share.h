#pragma once
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>

namespace understudy::cascade {

/// How often the students of one task have not been enough lately: the prior chance of an escalation, before a request's own
/// draft is seen. A mean that forgets (the last kWindow requests or so). Thread-safe and relaxed: a lost update does no harm.
class EscalationShare {
 public:
  static constexpr std::uint32_t kLeast = 20;    ///< requests before anything is said
  static constexpr std::uint32_t kWindow = 100;

  void add(bool escalated) {
    const std::uint32_t seen = std::min(seen_.load(std::memory_order_relaxed) + 1, kWindow);
    const float share = share_.load(std::memory_order_relaxed);
    share_.store(share + ((escalated ? 1.0F : 0.0F) - share) / static_cast<float>(seen), std::memory_order_relaxed);
    seen_.store(seen, std::memory_order_relaxed);
  }
  std::optional<double> value() const {
    if (seen_.load(std::memory_order_relaxed) < kLeast) return std::nullopt;
    return share_.load(std::memory_order_relaxed);
  }

 private:
  std::atomic<float> share_{0};
  std::atomic<std::uint32_t> seen_{0};
};

}  // namespace understudy::cascade
