#pragma once
/// Numbers as people read them; `--json` has the exact ones. Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/money.h"

namespace understudy::app {

/// "12,345", "-1,000".
std::string human_count(std::int64_t n);
/// "1 request", "1,200 requests": `noun` with an s where it is not one.
std::string counted(std::int64_t n, std::string_view noun);

/// "$1,234.57" from a dollar up, below that three significant digits and at least cents: "$0.0000123", "$0.04". "$0" is exactly
/// nothing. `estimated` puts "~" in front.
std::string human_usd(Int128 picousd, bool estimated = false);
/// "unknown" where it is not known.
std::string human_usd(const std::optional<Picousd>& amount, bool estimated = false);

/// For JSON: all digits, no more than needed ("0.0000123", "0", "-2.5").
std::string exact_usd(Int128 picousd);

/// "85 us", "1.2 ms", "812 ms", "3.4 s", "2 min 5 s", "3 h 12 min", "4 d 2 h".
std::string human_duration(std::int64_t us);

/// "512 B", "1.2 KiB", "3.4 GiB".
std::string human_bytes(std::uint64_t bytes);

/// "58.6 %"; never "0.0 %" for some and never "100.0 %" for not all ("<0.1 %", ">99.9 %"); "-" of nothing. Above the whole too.
std::string percent(Int128 part, Int128 whole);

/// "2026-05-11 10:00:03" (UTC); without the year where it is that of `now`: "05-11 10:00:03".
std::string human_time(WallTime t);
std::string short_time(WallTime t, WallTime now);

/// "just now", "3 min ago", "2 d ago", "in the future" (clocks differ).
std::string human_ago(WallTime t, WallTime now);

/// A confidence with two digits, or with as many more as it takes to tell it from `other` (up to 6).
std::string human_confidence(double value, std::optional<double> other = std::nullopt);

}  // namespace understudy::app
