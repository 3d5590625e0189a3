#include <gtest/gtest.h>

#include <set>

#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/ids.h"
#include "base/json_writer.h"
#include "base/money.h"
#include "base/random.h"
#include "base/time_format.h"

namespace understudy {
namespace {

TEST(ErrorTable, EveryKindHasAStatusAndALabelOfItsOwn) {
  std::set<std::string_view> labels;
  for (const ErrorInfo& row : error_table()) {
    EXPECT_GE(row.http_status, 400);
    EXPECT_LT(row.http_status, 600);
    EXPECT_TRUE(labels.insert(row.label).second) << row.label;
  }
}

TEST(Error, KeepsTheUpstreamsStatus) {
  Error e(ErrorKind::kUpstreamStatus, "upstream said no");
  EXPECT_EQ(e.http_status(), 502);
  e.upstream_status = 429;
  EXPECT_EQ(e.http_status(), 429);
}

TEST(Money, FormatsHalfToEven) {
  EXPECT_EQ(format_usd(Int128{70'350'000'000'000}, 9), "70.350000000");
  EXPECT_EQ(format_usd(Int128{5'000'000'000}, 2), "0.00");
  EXPECT_EQ(format_usd(Int128{15'000'000'000}, 2), "0.02");
  EXPECT_EQ(format_usd(Int128{25'000'000'000}, 2), "0.02");
  EXPECT_EQ(format_usd(Int128{-25'000'000'001}, 2), "-0.03");
  EXPECT_EQ(format_usd(Int128{1}, 12), "0.000000000001");
}

TEST(Money, ParsesExactlyOrRefuses) {
  EXPECT_EQ(parse_decimal("0.25", kPicousdPerUsd)->value, 250'000'000'000);
  EXPECT_EQ(parse_decimal("2.1875", 1'000'000)->value, 2'187'500);
  EXPECT_EQ(parse_decimal("-3", 1)->value, -3);
  EXPECT_FALSE(parse_decimal("0.0000001", 1'000'000).has_value());
  EXPECT_FALSE(parse_decimal("", 1).has_value());
  EXPECT_FALSE(parse_decimal(".", 1).has_value());
  EXPECT_FALSE(parse_decimal("1e3", 1).has_value());
  EXPECT_FALSE(parse_decimal("99999999999999999999999999", kPicousdPerUsd).has_value());
}

TEST(Money, RatioRoundsHalfToEven) {
  EXPECT_EQ(format_ratio(1, 3, 8), "0.33333333");
  EXPECT_EQ(format_ratio(1, 8, 2), "0.12");
  EXPECT_EQ(format_ratio(3, 8, 2), "0.38");
}

TEST(TimeFormat, RoundTrips) {
  for (const char* text : {"2026-05-11T00:00:01Z", "1969-12-31T23:59:59.999999Z", "2024-02-29T12:00:00.000001Z"}) {
    EXPECT_EQ(format_rfc3339(*parse_rfc3339(text)), text);
  }
  EXPECT_EQ(format_rfc3339(*parse_rfc3339("2026-05-11T02:00:00+02:00")), "2026-05-11T00:00:00Z");
  EXPECT_EQ(format_rfc3339(*parse_rfc3339("2026-05-11")), "2026-05-11T00:00:00Z");
}

TEST(TimeFormat, RefusesImpossibleTimes) {
  for (const char* text : {"2026-02-30T00:00:00Z", "2026-05-11T24:00:00Z", "2026-05-11T00:00:00", "2026", "", "2026-05-11T00:00:00.Z"}) {
    EXPECT_FALSE(parse_rfc3339(text).has_value()) << text;
  }
}

TEST(Duration, ReadsUnits) {
  EXPECT_EQ(*parse_duration_ms("30d"), 2'592'000'000);
  EXPECT_EQ(*parse_duration_ms("250ms"), 250);
  EXPECT_FALSE(parse_duration_ms("30").has_value());
  EXPECT_FALSE(parse_duration_ms("d").has_value());
  EXPECT_FALSE(parse_duration_ms("-1s").has_value());
}

TEST(Hash, Crc32cMatchesTheRfcVectorsBothWays) {
  const std::string zeros(32, '\0');
  EXPECT_EQ(crc32c(zeros), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  SeededRandom random(7);
  std::string bytes;
  for (int n = 0; n < 2500; ++n) {  // past three rounds of three lanes
    ASSERT_EQ(crc32c(bytes), crc32c_portable(bytes)) << n;
    ASSERT_EQ(crc32c(bytes, 0x12345678u), crc32c_portable(bytes, 0x12345678u)) << n;
    bytes.push_back(static_cast<char>(random.next()));
  }
}

TEST(Random, BelowIsInRangeAndCoversIt) {
  SeededRandom random(1);
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(random.below(7));
  EXPECT_EQ(seen.size(), 7u);
  EXPECT_EQ(*seen.rbegin(), 6u);
}

TEST(RequestId, SortsByTimeAndNeverGoesBack) {
  ManualClock clock;
  SeededRandom random(3);
  RequestIdMaker maker(clock, random);
  std::string last;
  for (int i = 0; i < 1000; ++i) {
    if (i % 10 == 0) clock.advance_ms(1);
    if (i == 500) clock.step_wall_us(-3'600'000'000);
    std::string id = maker.next();
    EXPECT_EQ(id.size(), 30u);
    EXPECT_LT(last, id);
    last = id;
  }
}

TEST(JsonWriter, EscapesAndReplacesBadUtf8) {
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("a", "q\"\\\n\x01 \xc3\xa9 \xff").field("n", 3).field("x", 0.1).field("t", true).key("z").null().key("l");
  w.begin_array().integer(1).integer(2).begin_object().end_object().end_array().end_object();
  EXPECT_EQ(out, "{\"a\":\"q\\\"\\\\\\n\\u0001 \xc3\xa9 \xef\xbf\xbd\",\"n\":3,\"x\":0.1,\"t\":true,\"z\":null,\"l\":[1,2,{}]}");
}

}  // namespace
}  // namespace understudy
