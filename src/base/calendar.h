#pragma once
#include <string>

#include "base/clock.h"
#include "base/error.h"

namespace understudy {

/// A span of time: begin <= t < end.
struct Period {
  WallTime begin, end;
  bool holds(WallTime t) const { return begin.us <= t.us && t.us < end.us; }
};

/// Days and months, as budgets count them: in UTC, or in a place's own time. Immutable; thread-safe.
class Calendar {
 public:
  static Calendar utc() { return Calendar(false); }

  /// The zone of this name in the system's zoneinfo ("Europe/Berlin"); "UTC" needs none. It becomes the whole process's zone, for the C
  /// library knows only one, so open one before there are threads. kConfig where the system has no such zone.
  static Result<Calendar> open(const std::string& zone);

  /// The day or month that holds `t`. A day may have 23 or 25 hours.
  Period day_of(WallTime t) const;
  Period month_of(WallTime t) const;

 private:
  explicit Calendar(bool local) : local_(local) {}
  bool local_;
};

/// Whether the system knows a zone of this name (kConfig where not); changes nothing.
Result<void> check_zone(const std::string& zone);

}  // namespace understudy
