#pragma once
/// Money is an integer count of picodollars (1e-12 USD). One call fits 64 bits (9.2 million USD); sums use 128 bits.
/// Rounding happens once, at print, half to even. An amount that is not known is std::nullopt, never zero.

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace understudy {

__extension__ using Int128 = __int128;

inline constexpr std::int64_t kPicousdPerUsd = 1'000'000'000'000;

/// An amount in picodollars; may be negative (a saving that was a loss).
struct Picousd {
  std::int64_t value = 0;
  friend constexpr auto operator<=>(Picousd, Picousd) = default;
  friend constexpr Picousd operator+(Picousd a, Picousd b) { return {a.value + b.value}; }
  friend constexpr Picousd operator-(Picousd a, Picousd b) { return {a.value - b.value}; }
};

/// A sum of many amounts.
struct PicousdSum {
  Int128 value = 0;
  constexpr PicousdSum& operator+=(Picousd p) { value += p.value; return *this; }
  constexpr PicousdSum& operator+=(PicousdSum p) { value += p.value; return *this; }
  friend constexpr bool operator==(PicousdSum, PicousdSum) = default;
};

/// Exact decimal digits of a 128-bit integer.
std::string to_string(Int128 value);

/// USD with `decimals` digits after the point (0..12), rounded half to even: usd(70350000000000, 2) == "70.35".
std::string format_usd(Int128 picousd, int decimals);
inline std::string format_usd(Picousd p, int decimals) { return format_usd(Int128{p.value}, decimals); }

/// Reads a plain decimal ("0.25", "3", "-1.5") as `unit_picousd` times its value, exactly.
/// kInvalidRequest when it is not a decimal, has digits below one picodollar, or does not fit 64 bits.
Result<Picousd> parse_decimal(std::string_view text, std::int64_t unit_picousd);

/// numerator / denominator as a decimal with `decimals` digits (<= 18), half to even; denominator > 0.
std::string format_ratio(Int128 numerator, Int128 denominator, int decimals);

}  // namespace understudy
