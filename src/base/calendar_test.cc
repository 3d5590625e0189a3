#include "base/calendar.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <time.h>

#include "base/time_format.h"

namespace understudy {
namespace {

WallTime at(std::string_view text) { return *parse_rfc3339(text); }

void expect_period(const Period& period, std::string_view begin, std::string_view end) {
  EXPECT_EQ(format_rfc3339(period.begin), begin);
  EXPECT_EQ(format_rfc3339(period.end), end);
}

TEST(Calendar, UtcDaysAndMonthsBeginAtMidnight) {
  const Calendar utc = Calendar::utc();
  expect_period(utc.day_of(at("2026-02-28T23:59:59.999999Z")), "2026-02-28T00:00:00Z", "2026-03-01T00:00:00Z");
  expect_period(utc.day_of(at("2026-03-01T00:00:00Z")), "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z");
  expect_period(utc.month_of(at("2026-12-31T12:00:00Z")), "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z");
  expect_period(utc.month_of(at("2028-02-29T00:00:00Z")), "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z");
  expect_period(utc.day_of(WallTime{-1}), "1969-12-31T00:00:00Z", "1970-01-01T00:00:00Z");
}

TEST(Calendar, APlacesDayMayHaveAnotherLength) {
  if (!check_zone("Europe/Berlin")) GTEST_SKIP() << "no zoneinfo on this machine";
  const auto berlin = Calendar::open("Europe/Berlin");
  ASSERT_TRUE(berlin) << berlin.error().message;
  expect_period(berlin->day_of(at("2026-07-01T21:59:59Z")), "2026-06-30T22:00:00Z", "2026-07-01T22:00:00Z");
  expect_period(berlin->month_of(at("2026-06-30T22:00:00Z")), "2026-06-30T22:00:00Z", "2026-07-31T22:00:00Z");
  expect_period(berlin->day_of(at("2026-03-29T12:00:00Z")), "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z");   // 23 hours
  expect_period(berlin->day_of(at("2026-10-25T12:00:00Z")), "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z");   // 25 hours
  expect_period(Calendar::utc().day_of(at("2026-07-01T22:30:00Z")), "2026-07-01T00:00:00Z", "2026-07-02T00:00:00Z");
  unsetenv("TZ");
  tzset();
}

TEST(Calendar, AZoneThatIsNoneIsRefusedByName) {
  for (const char* zone : {"", "Europe/Berlinn", "/etc/passwd", "../zoneinfo/UTC", "Europe", "a b"}) {
    const auto checked = check_zone(zone);
    ASSERT_FALSE(checked) << zone;
    EXPECT_EQ(checked.error().kind, ErrorKind::kConfig);
    EXPECT_NE(checked.error().message.find(std::string("'") + zone + "'"), std::string::npos);
  }
  EXPECT_TRUE(check_zone("UTC"));
}

}  // namespace
}  // namespace understudy
