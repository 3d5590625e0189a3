#include "cascade/retry.h"

#include <simdjson.h>

#include <array>
#include <string_view>

namespace understudy::cascade {
namespace {

/// A refusal that stands until somebody pays or a month ends, by the error's code or type. The message is not looked at: it may
/// quote the user.
bool quota_is_exhausted(std::string_view body) {
  static constexpr std::array<std::string_view, 5> kWords{"insufficient_quota", "billing_hard_limit_reached", "billing_not_active",
                                                          "access_terminated", "account_deactivated"};
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  if (parser.parse(body.data(), body.size()).get(root) != simdjson::SUCCESS) return false;
  for (const char* field : {"code", "type"}) {
    std::string_view word;
    if (root["error"][field].get_string().get(word) != simdjson::SUCCESS) continue;
    for (const std::string_view final_word : kWords) {
      if (word == final_word) return true;
    }
  }
  return false;
}

}  // namespace

std::optional<std::int64_t> retry_wait_ms(const Attempt& attempt, int tries, Random& random) {
  if (tries >= kMaxRetries) return std::nullopt;
  if (attempt.error) {
    if (attempt.error->kind != ErrorKind::kUpstreamUnreachable) return std::nullopt;
  } else {
    const int status = attempt.status;
    const bool transient = status == 408 || status == 409 || status == 425 || status == 429 || status >= 500;
    if (!transient || quota_is_exhausted(attempt.body)) return std::nullopt;
  }
  if (attempt.reply) {
    if (const auto asked_ms = attempt.reply->retry_after_ms()) return *asked_ms <= kMaxRetryWaitMs ? asked_ms : std::nullopt;
  }
  return static_cast<std::int64_t>(random.uniform() * 100.0 * static_cast<double>(1 << tries));
}

}  // namespace understudy::cascade
