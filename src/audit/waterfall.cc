#include "audit/waterfall.h"

#include <algorithm>
#include <tuple>

namespace understudy::audit {

void Waterfall::add_sampled(std::uint64_t request, const TimedCall& call) {
  auto& calls = requests_[request];
  if (calls.size() < kMostCalls) calls.push_back(call);
  if (requests_.size() >= 2 * kMostRequests) prune();
}

void Waterfall::prune() {
  if (requests_.size() <= kMostRequests) return;
  std::vector<std::uint64_t> hashes;
  hashes.reserve(requests_.size());
  for (const auto& [hash, calls] : requests_) hashes.push_back(hash);
  std::nth_element(hashes.begin(), hashes.begin() + (kMostRequests - 1), hashes.end());
  limit_ = hashes[kMostRequests - 1];
  std::erase_if(requests_, [&](const auto& entry) { return entry.first > limit_; });
}

void Waterfall::merge(const Waterfall& other) {
  limit_ = std::min(limit_, other.limit_);
  for (const auto& [hash, calls] : other.requests_) {
    for (const TimedCall& call : calls) add(hash, call);
  }
  std::erase_if(requests_, [&](const auto& entry) { return entry.first > limit_; });
}

void Waterfall::settle() {
  prune();
  for (auto& [hash, calls] : requests_) {
    std::sort(calls.begin(), calls.end(), [](const TimedCall& a, const TimedCall& b) {
      return std::tie(a.at_us, a.latency_ms, a.step, a.tok_in) < std::tie(b.at_us, b.latency_ms, b.step, b.tok_in);
    });
  }
}

std::size_t serial_depth(std::vector<TimedCall> calls) {
  std::sort(calls.begin(), calls.end(), [](const TimedCall& a, const TimedCall& b) {
    return a.at_us + a.latency_ms * 1000 < b.at_us + b.latency_ms * 1000;
  });
  std::size_t depth = 0;
  std::int64_t free_at = INT64_MIN;
  for (const TimedCall& call : calls) {
    if (call.at_us < free_at) continue;
    ++depth;
    free_at = call.at_us + call.latency_ms * 1000;
  }
  return depth;
}

}  // namespace understudy::audit
