#include "cascade/retry.h"

#include <string_view>

namespace understudy::cascade {

std::optional<std::int64_t> retry_wait_ms(const Attempt& attempt, int tries, Random& random) {
  if (tries >= kMaxRetries) return std::nullopt;
  if (attempt.error) {
    if (attempt.error->kind != ErrorKind::kUpstreamUnreachable) return std::nullopt;
  } else {
    const int status = attempt.status;
    const bool transient = status == 408 || status == 409 || status == 425 || status == 429 || status >= 500;
    if (!transient || attempt.body.find("insufficient_quota") != std::string_view::npos) return std::nullopt;
  }
  if (attempt.reply) {
    if (const auto asked_ms = attempt.reply->retry_after_ms()) return *asked_ms <= kMaxRetryWaitMs ? asked_ms : std::nullopt;
  }
  return static_cast<std::int64_t>(random.uniform() * 100.0 * static_cast<double>(1 << tries));
}

}  // namespace understudy::cascade
