#include "workload.h"

#include <gtest/gtest.h>

#include "timer_wheel.h"

namespace understudy::bench {
namespace {

TEST(Workload, RequestsAreAsLongAsAskedAndCarryTheirTag) {
  const std::string text = chat_request({}, 80).with(123456789012ULL);
  const std::string body = text.substr(text.find("\r\n\r\n") + 4);
  EXPECT_EQ(body.size(), 2048U);
  EXPECT_EQ(find_tag(body), 123456789012ULL);
  EXPECT_FALSE(has_true(body, "\"logprobs\""));
  EXPECT_FALSE(has_true(body, "\"stream\""));
}

TEST(Workload, AnswersAreAboutTwoKibibytes) {
  const auto body_bytes = [](const TaggedText& answer) {
    const std::string text = answer.with(7);
    return text.size() - text.find("\r\n\r\n") - 4;
  };
  EXPECT_NEAR(static_cast<double>(body_bytes(plain_answer({}))), 2048, 4);
  EXPECT_NEAR(static_cast<double>(body_bytes(logprob_answer({}, true))), 2048, 205);
}

TEST(Workload, FlagsAreFoundWhateverTheWhiteSpaceAndNotInsideStrings) {
  EXPECT_TRUE(has_true(R"({"stream":true})", "\"stream\""));
  EXPECT_TRUE(has_true("{\"stream\" :\n true}", "\"stream\""));
  EXPECT_TRUE(has_true(R"({"x":"stream","stream":false,"stream":true})", "\"stream\""));
  EXPECT_FALSE(has_true(R"({"stream":false})", "\"stream\""));
  EXPECT_FALSE(has_true(R"({"content":"\"stream\":true"})", "\"stream\""));
}

TEST(Workload, UnsureShareIsMetAmongHardTagsOnly) {
  int unsure = 0;
  for (std::uint64_t tag = kFirstHardTag; tag < kFirstHardTag + 10000; ++tag) unsure += is_unsure(tag, 0.3) ? 1 : 0;
  EXPECT_NEAR(unsure, 3000, 60);
  EXPECT_FALSE(is_unsure(kFirstHardTag, 0));
  EXPECT_TRUE(is_unsure(kFirstHardTag, 1));
  EXPECT_FALSE(is_unsure(5, 1));
}

TEST(TimerWheel, FiresOnceEachInOrderAcrossTurns) {
  TimerWheel<int> wheel(0);
  wheel.arm(10, 1);
  wheel.arm(5, 2);
  wheel.arm(10 + 4096, 3);
  wheel.arm(-4, 4);
  std::vector<int> fired;
  const auto fire = [&fired](int value) { fired.push_back(value); };
  wheel.advance(4, fire);
  EXPECT_EQ(fired, (std::vector<int>{4}));
  wheel.advance(4000, fire);
  EXPECT_EQ(fired, (std::vector<int>{4, 2, 1}));
  wheel.advance(10 + 4096, fire);
  EXPECT_EQ(fired, (std::vector<int>{4, 2, 1, 3}));
  EXPECT_TRUE(wheel.empty());
}

}  // namespace
}  // namespace understudy::bench
