#include "base/money.h"

#include <algorithm>
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

std::string place_point(Int128 scaled, int decimals) {
  const bool negative = scaled < 0;
  std::string digits = to_string(negative ? -scaled : scaled);
  if (decimals > 0) {
    if (static_cast<int>(digits.size()) <= decimals) digits.insert(0, static_cast<std::size_t>(decimals) + 1 - digits.size(), '0');
    digits.insert(digits.size() - static_cast<std::size_t>(decimals), 1, '.');
  }
  return negative ? "-" + digits : digits;
}

Int128 power_of_ten(int n) {
  Int128 p = 1;
  while (n-- > 0) p *= 10;
  return p;
}

}  // namespace

std::string to_string(Int128 value) {
  if (value == 0) return "0";
  const bool negative = value < 0;
  std::string out;
  while (value != 0) {
    const int digit = static_cast<int>(value % 10);
    out.push_back(static_cast<char>('0' + (digit < 0 ? -digit : digit)));
    value /= 10;
  }
  if (negative) out.push_back('-');
  std::reverse(out.begin(), out.end());
  return out;
}

std::string format_usd(Int128 picousd, int decimals) {
  decimals = std::clamp(decimals, 0, 12);
  return place_point(divide_half_even(picousd, power_of_ten(12 - decimals)), decimals);
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
