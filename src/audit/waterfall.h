#pragma once
/// Times inside requests, from a fixed-size sample of them.

#include <cstdint>
#include <unordered_map>
#include <vector>

namespace understudy::audit {

struct TimedCall {
  std::int64_t at_us = 0;
  std::int64_t latency_ms = 0;
  std::uint32_t step = 0;
  bool frontier = false;
  bool offline = false;
  bool specialist = false;
  std::int64_t tok_in = 0;
};

/// The calls of the requests with the smallest hashes (a bottom-k sample: uniform, and the same however rows are split over
/// workers). Memory is bounded by kMostRequests times a request's calls, of which at most kMostCalls are kept.
class Waterfall {
 public:
  static constexpr std::size_t kMostRequests = 2048;
  static constexpr std::size_t kMostCalls = 64;

  void add(std::uint64_t request, const TimedCall& call) {
    if (request > limit_) return;
    add_sampled(request, call);
  }
  void merge(const Waterfall& other);
  /// Cuts the sample down to kMostRequests; call before reading.
  void settle();
  template <typename F>
  void rename_steps(F&& name) {
    for (auto& [hash, calls] : requests_) {
      for (TimedCall& call : calls) call.step = name(call.step);
    }
  }
  const std::unordered_map<std::uint64_t, std::vector<TimedCall>>& requests() const { return requests_; }

 private:
  void add_sampled(std::uint64_t request, const TimedCall& call);
  void prune();

  std::uint64_t limit_ = UINT64_MAX;
  std::unordered_map<std::uint64_t, std::vector<TimedCall>> requests_;
};

/// Most calls that ran one after another (no two overlap): what the user waited through.
std::size_t serial_depth(std::vector<TimedCall> calls);

}  // namespace understudy::audit
