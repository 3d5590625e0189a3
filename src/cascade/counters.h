#pragma once
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "chat/stage.h"

namespace understudy::cascade {

/// Upper bounds in microseconds of the latency histograms; one more bucket holds the rest.
inline constexpr std::array<std::int64_t, 16> kLatencyBucketsUs{50,      100,     250,       500,       1'000,     2'500,      5'000,      10'000,
                                                                25'000,  100'000, 250'000,   1'000'000, 2'500'000, 10'000'000, 30'000'000, 120'000'000};

struct Histogram {
  std::array<std::atomic<std::uint64_t>, kLatencyBucketsUs.size() + 1> buckets{};
  std::atomic<std::int64_t> sum_us{0};

  void add(std::int64_t us) {
    std::size_t i = 0;
    while (i < kLatencyBucketsUs.size() && us > kLatencyBucketsUs[i]) ++i;
    buckets[i].fetch_add(1, std::memory_order_relaxed);
    sum_us.fetch_add(us, std::memory_order_relaxed);
  }
};

/// Of one reactor, written by it alone, read by whoever scrapes.
struct Counters {
  std::atomic<std::uint64_t> requests{0};
  std::atomic<std::uint64_t> failed{0};
  std::atomic<std::uint64_t> escalated{0};
  std::atomic<std::uint64_t> streamed{0};
  std::atomic<std::uint64_t> clients_gone{0};
  std::atomic<std::uint64_t> early_rejects{0};       ///< students' answers that were left before their end
  std::atomic<std::uint64_t> hedges{0};              ///< teachers that were asked beside the students
  std::atomic<std::uint64_t> hedges_lost{0};         ///< of these, not needed
  std::atomic<std::uint64_t> coins{0};
  std::atomic<std::uint64_t> labels{0};
  std::atomic<std::uint64_t> labels_agree{0};
  std::atomic<std::uint64_t> judge_unreadable{0};    ///< replies of a judge that were neither yes nor no, taken for a no
  std::atomic<std::uint64_t> labels_skipped{0};      ///< coin fell, but budget or load forbade the call
  std::atomic<std::uint64_t> cost_unknown{0};
  std::atomic<std::int64_t> cost_nanousd{0};
  std::atomic<std::int64_t> saved_nanousd{0};
  std::array<std::atomic<std::uint64_t>, kStageCount> served{};
  std::array<std::atomic<std::uint64_t>, kStageCount> attempts{};
  std::array<std::atomic<std::uint64_t>, kStageCount> attempt_errors{};
  Histogram latency;
  Histogram overhead;
};

}  // namespace understudy::cascade
