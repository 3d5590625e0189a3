#pragma once
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"

namespace understudy {

/// "2026-05-11T00:00:01.123456Z" (microseconds; a zero fraction is left out).
std::string format_rfc3339(WallTime t);

/// Reads RFC 3339 (any offset, up to 9 decimals, truncated to microseconds), or a plain "YYYY-MM-DD" as 00:00Z.
/// kInvalidRequest where it is neither or names an impossible day or hour.
Result<WallTime> parse_rfc3339(std::string_view text);

/// Reads "30d", "12h", "5m", "90s", "250ms" as milliseconds. kInvalidRequest otherwise.
Result<std::int64_t> parse_duration_ms(std::string_view text);

}  // namespace understudy
