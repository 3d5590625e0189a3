#include "base/time_format.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>

namespace understudy {
namespace {

using std::chrono::day;
using std::chrono::month;
using std::chrono::sys_days;
using std::chrono::year;
using std::chrono::year_month_day;

/// Reads exactly `width` digits at `pos`; -1 where they are not digits.
int digits(std::string_view text, std::size_t pos, std::size_t width) {
  if (pos + width > text.size()) return -1;
  int value = 0;
  for (std::size_t i = pos; i < pos + width; ++i) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

}  // namespace

std::string format_rfc3339(WallTime t) {
  const std::chrono::sys_time<std::chrono::microseconds> point{std::chrono::microseconds{t.us}};
  const auto midnight = std::chrono::floor<std::chrono::days>(point);
  const year_month_day date{midnight};
  const std::chrono::hh_mm_ss time{point - midnight};
  std::string out = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", int{date.year()}, unsigned{date.month()},
                                unsigned{date.day()}, time.hours().count(), time.minutes().count(), time.seconds().count());
  if (time.subseconds().count() != 0) out += fmt::format(".{:06}", time.subseconds().count());
  return out + "Z";
}

Result<WallTime> parse_rfc3339(std::string_view text) {
  const auto bad = [&] {
    return fail(ErrorKind::kInvalidRequest, fmt::format("\"{}\" is not a time such as 2026-05-11T08:30:00Z", text));
  };
  const int y = digits(text, 0, 4);
  const int mo = digits(text, 5, 2);
  const int d = digits(text, 8, 2);
  if (y < 0 || mo < 0 || d < 0 || text[4] != '-' || text[7] != '-') return bad();
  const year_month_day date{year{y}, month{static_cast<unsigned>(mo)}, day{static_cast<unsigned>(d)}};
  if (!date.ok()) return bad();
  std::int64_t us = std::chrono::duration_cast<std::chrono::microseconds>(sys_days{date}.time_since_epoch()).count();
  if (text.size() == 10) return WallTime{us};

  if (text[10] != 'T' && text[10] != 't' && text[10] != ' ') return bad();
  const int h = digits(text, 11, 2);
  const int mi = digits(text, 14, 2);
  const int s = digits(text, 17, 2);
  if (h < 0 || mi < 0 || s < 0 || h > 23 || mi > 59 || s > 60 || text[13] != ':' || text[16] != ':') return bad();
  us += ((std::int64_t{h} * 60 + mi) * 60 + s) * 1'000'000;
  std::size_t pos = 19;
  if (pos < text.size() && (text[pos] == '.' || text[pos] == ',')) {
    std::int64_t unit = 100'000;
    std::size_t n = 0;
    for (++pos; pos < text.size() && text[pos] >= '0' && text[pos] <= '9'; ++pos, ++n) {
      us += (text[pos] - '0') * unit;
      unit /= 10;
    }
    if (n == 0 || n > 9) return bad();
  }
  const std::string_view zone = text.substr(pos);
  if (zone == "Z" || zone == "z") return WallTime{us};
  if ((zone.size() == 6 && zone[3] == ':') || zone.size() == 5) {
    const int zh = digits(zone, 1, 2);
    const int zm = digits(zone, zone.size() - 2, 2);
    if ((zone[0] != '+' && zone[0] != '-') || zh < 0 || zm < 0 || zh > 23 || zm > 59) return bad();
    const std::int64_t offset = (std::int64_t{zh} * 60 + zm) * 60'000'000;
    return WallTime{zone[0] == '+' ? us - offset : us + offset};
  }
  return bad();
}

Result<std::int64_t> parse_duration_ms(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  std::int64_t scale = 0;
  if (unit == "ms") scale = 1;
  else if (unit == "s") scale = 1000;
  else if (unit == "m") scale = 60'000;
  else if (unit == "h") scale = 3'600'000;
  else if (unit == "d") scale = 86'400'000;
  if (ec != std::errc{} || scale == 0 || value < 0 || value > 1'000'000'000) {
    return fail(ErrorKind::kInvalidRequest, fmt::format("\"{}\" is not a duration such as 30d, 12h, 5m, 90s or 250ms", text));
  }
  return value * scale;
}

}  // namespace understudy
