#include "cascade/retry.h"

#include <gtest/gtest.h>

#include "providers/memory_reply.h"

namespace understudy::cascade {
namespace {

Attempt refused(int status, std::string_view body = "{}", std::optional<std::int64_t> retry_after_ms = {}) {
  Attempt attempt;
  attempt.status = status;
  attempt.body = body;
  auto reply = std::make_unique<providers::MemoryReply>(status, std::string(body));
  if (retry_after_ms) reply->set_retry_after_ms(*retry_after_ms);
  attempt.reply = std::move(reply);
  return attempt;
}

Attempt failed(ErrorKind kind) {
  Attempt attempt;
  attempt.error = Error(kind, "x");
  return attempt;
}

TEST(RetryWait, RetriesWhatMayPass) {
  SeededRandom random(1);
  for (const int status : {408, 409, 425, 429, 500, 502, 503, 504, 529}) EXPECT_TRUE(retry_wait_ms(refused(status), 0, random)) << status;
  EXPECT_TRUE(retry_wait_ms(failed(ErrorKind::kUpstreamUnreachable), 0, random));
}

TEST(RetryWait, LeavesAloneWhatCannotHelp) {
  SeededRandom random(1);
  for (const int status : {400, 401, 403, 404, 413, 422}) EXPECT_FALSE(retry_wait_ms(refused(status), 0, random)) << status;
  for (const ErrorKind kind : {ErrorKind::kUpstreamTimeout, ErrorKind::kUpstreamProtocol, ErrorKind::kCircuitOpen, ErrorKind::kCancelled}) {
    EXPECT_FALSE(retry_wait_ms(failed(kind), 0, random)) << error_info(kind).label;
  }
}

TEST(RetryWait, KnowsAnExhaustedQuotaByItsCodeOrType) {
  SeededRandom random(1);
  EXPECT_FALSE(retry_wait_ms(refused(429, R"({"error":{"message":"m","type":"insufficient_quota","code":null}})"), 0, random));
  EXPECT_FALSE(retry_wait_ms(refused(429, R"({"error":{"message":"m","type":"t","code":"billing_hard_limit_reached"}})"), 0, random));
  EXPECT_TRUE(retry_wait_ms(refused(500, R"({"error":{"message":"cannot parse 'insufficient_quota' in your text","type":"t","code":null}})"), 0, random))
      << "the words of a user are no verdict";
  EXPECT_TRUE(retry_wait_ms(refused(503, "<html>busy</html>"), 0, random));
}

TEST(RetryWait, DoesWhatTheUpstreamAsksForUpToABound) {
  SeededRandom random(1);
  EXPECT_EQ(retry_wait_ms(refused(429, "{}", 700), 0, random), 700);
  EXPECT_EQ(retry_wait_ms(refused(429, "{}", kMaxRetryWaitMs), 0, random), kMaxRetryWaitMs);
  EXPECT_FALSE(retry_wait_ms(refused(429, "{}", kMaxRetryWaitMs + 1), 0, random)) << "the client decides whether to wait for so long";
}

TEST(RetryWait, JittersFullyAndGivesUp) {
  SeededRandom random(1);
  std::int64_t longest = 0;
  std::int64_t shortest = 1'000;
  for (int i = 0; i < 1'000; ++i) {
    const std::int64_t wait_ms = retry_wait_ms(refused(500), 1, random).value();
    longest = std::max(longest, wait_ms);
    shortest = std::min(shortest, wait_ms);
  }
  EXPECT_LT(shortest, 10);
  EXPECT_GT(longest, 180);
  EXPECT_LT(longest, 200);
  EXPECT_FALSE(retry_wait_ms(refused(500), kMaxRetries, random));
}

TEST(RetryBudget, BoundsRetriesToAShareOfTheRequests) {
  RetryBudget budget;
  MonoTime now{1'000'000'000'000};
  int granted = 0;
  while (budget.take(now)) ++granted;   // drained: what a quiet time has saved up
  for (int i = 0; i < 1'000; ++i) {
    budget.on_request();
    granted = budget.take(now) ? granted + 1 : granted;
  }
  EXPECT_LE(granted, 100 + 101);
  while (budget.take(now)) {}
  now = now.plus_ms(1'000);
  int in_a_second = 0;
  while (budget.take(now)) ++in_a_second;
  EXPECT_GE(in_a_second, 3);
  EXPECT_LE(in_a_second, 4) << "three, and what was left of one";
}

}  // namespace
}  // namespace understudy::cascade
