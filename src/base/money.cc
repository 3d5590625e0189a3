#include "base/money.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <limits>

namespace understudy {
namespace {

/// Quotient rounded half to even; denominator > 0.
Int128 divide_half_even(Int128 n, Int128 d) {
  Int128 q = n / d;
  Int128 r = n % d;
  if (r < 0) r = -r;
  const Int128 twice = r * 2;
  if (twice > d || (twice == d && q % 2 != 0)) q += n < 0 ? -1 : 1;
  return q;
}

/// Sign, 39 digits, a point and its leading zeros.
constexpr std::size_t kMaxDigits = 64;

__extension__ using Uint128 = unsigned __int128;

/// Writes `value`'s decimal digits, at least `least` of them, before `end`; returns where they begin.
char* write_digits(char* end, Uint128 value, int least) {
  char* p = end;
  while (value > std::numeric_limits<std::uint64_t>::max()) {
    *--p = static_cast<char>('0' + static_cast<int>(value % 10));
    value /= 10;
  }
  for (auto rest = static_cast<std::uint64_t>(value); rest != 0; rest /= 10) *--p = static_cast<char>('0' + rest % 10);
  while (end - p < least) *--p = '0';
  return p;
}

std::string place_point(Int128 scaled, int decimals) {
  const bool negative = scaled < 0;
  std::array<char, kMaxDigits> buffer;
  char* const end = buffer.data() + buffer.size();
  char* begin = write_digits(end, negative ? -static_cast<Uint128>(scaled) : static_cast<Uint128>(scaled), decimals + 1);
  if (decimals > 0) {  // the whole part moves one place to the left
    char* const point = end - decimals;
    std::memmove(begin - 1, begin, static_cast<std::size_t>(point - begin));
    --begin;
    point[-1] = '.';
  }
  if (negative) *--begin = '-';
  return std::string(begin, end);
}

Int128 power_of_ten(int n) {
  Int128 p = 1;
  while (n-- > 0) p *= 10;
  return p;
}

}  // namespace

std::string to_string(Int128 value) {
  return place_point(value, 0);
}

std::string format_usd(Int128 picousd, int decimals) {
  decimals = std::clamp(decimals, 0, 12);
  if (decimals < 12) picousd = divide_half_even(picousd, power_of_ten(12 - decimals));
  return place_point(picousd, decimals);
}

std::string format_ratio(Int128 numerator, Int128 denominator, int decimals) {
  return place_point(divide_half_even(numerator * power_of_ten(decimals), denominator), decimals);
}

Result<Picousd> parse_decimal(std::string_view text, std::int64_t unit_picousd) {
  const auto bad = [&](const char* why) {
    return fail(ErrorKind::kInvalidRequest, "\"" + std::string(text) + "\" " + why);
  };
  std::size_t i = 0;
  const bool negative = !text.empty() && text[0] == '-';
  if (negative) ++i;
  Int128 digits = 0;
  int decimals = 0;
  bool seen_digit = false;
  bool seen_point = false;
  for (; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '.' && !seen_point) {
      seen_point = true;
    } else if (c >= '0' && c <= '9') {
      seen_digit = true;
      if (digits > power_of_ten(24)) return bad("is too large for an amount of money");
      digits = digits * 10 + (c - '0');
      if (seen_point && ++decimals > 18) return bad("has more than 18 decimals");
    } else {
      return bad("is not a decimal number such as \"0.25\"");
    }
  }
  if (!seen_digit) return bad("is not a decimal number such as \"0.25\"");
  const Int128 scale = power_of_ten(decimals);
  // digits <= 1e25 and unit <= 1e12 stay below 2^127 (1.7e38).
  const Int128 scaled = digits * unit_picousd;
  if (scaled % scale != 0) return bad("has digits below one picodollar (1e-12 USD)");
  const Int128 value = scaled / scale;
  if (value > std::numeric_limits<std::int64_t>::max()) return bad("is too large for an amount of money");
  return Picousd{static_cast<std::int64_t>(negative ? -value : value)};
}

}  // namespace understudy
