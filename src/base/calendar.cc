#include "base/calendar.h"

#include <fmt/format.h>
#include <stdlib.h>
#include <time.h>

#include <algorithm>
#include <filesystem>

namespace understudy {
namespace {

/// The whole second that holds `t`, also before 1970.
std::time_t seconds_of(WallTime t) { return t.us / 1'000'000 - (t.us % 1'000'000 < 0 ? 1 : 0); }

WallTime begin_of(std::tm date, bool local) {
  date.tm_hour = date.tm_min = date.tm_sec = 0;
  date.tm_isdst = -1;   // where a clock change skips midnight, mktime takes the moment after it
  return WallTime{(local ? mktime(&date) : timegm(&date)) * 1'000'000};
}

std::tm date_of(WallTime t, bool local) {
  const std::time_t seconds = seconds_of(t);
  std::tm date{};
  if (local) {
    localtime_r(&seconds, &date);
  } else {
    gmtime_r(&seconds, &date);
  }
  return date;
}

}  // namespace

Result<void> check_zone(const std::string& zone) {
  if (zone == "UTC") return {};
  const bool plain = !zone.empty() && zone.front() != '/' && zone.find("..") == std::string::npos &&
                     std::all_of(zone.begin(), zone.end(), [](unsigned char c) { return std::isalnum(c) != 0 || c == '/' || c == '_' || c == '-' || c == '+'; });
  const char* folder = std::getenv("TZDIR");
  const std::filesystem::path base = folder != nullptr ? folder : "/usr/share/zoneinfo";
  std::error_code error;
  if (plain && std::filesystem::is_regular_file(base / zone, error)) return {};
  return fail(ErrorKind::kConfig, fmt::format("there is no time zone '{}' in {}: write a name such as \"Europe/Berlin\" or \"UTC\" (Debian: the package tzdata has them)", zone, base.string()));
}

Result<Calendar> Calendar::open(const std::string& zone) {
  if (auto known = check_zone(zone); !known) return fail(std::move(known.error()));
  if (zone == "UTC") return utc();
  if (setenv("TZ", (":" + zone).c_str(), 1) != 0) return fail(ErrorKind::kConfig, "the time zone could not be set: out of memory");
  tzset();
  return Calendar(true);
}

Period Calendar::day_of(WallTime t) const {
  std::tm date = date_of(t, local_);
  std::tm next = date;
  ++next.tm_mday;
  return {begin_of(date, local_), begin_of(next, local_)};
}

Period Calendar::month_of(WallTime t) const {
  std::tm date = date_of(t, local_);
  date.tm_mday = 1;
  std::tm next = date;
  ++next.tm_mon;
  return {begin_of(date, local_), begin_of(next, local_)};
}

}  // namespace understudy
