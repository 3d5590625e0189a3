#include "app/human.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/time_format.h"

namespace understudy::app {
namespace {

/// Puts commas between thousands of the digits before the point.
std::string with_commas(std::string digits) {
  const std::size_t begin = digits.starts_with('-') ? 1 : 0;
  std::size_t end = std::min(digits.find('.'), digits.size());
  while (end > begin + 3) {
    end -= 3;
    digits.insert(end, 1, ',');
  }
  return digits;
}

/// Takes zeros from the end, leaving `least` decimals; the point goes with the last.
std::string trim_zeros(std::string decimal, std::size_t least) {
  const std::size_t point = decimal.find('.');
  if (point == std::string::npos) return decimal;
  while (decimal.ends_with('0') && decimal.size() > point + 1 + least) decimal.pop_back();
  if (decimal.ends_with('.')) decimal.pop_back();
  return decimal;
}

}  // namespace

std::string human_count(std::int64_t n) { return with_commas(std::to_string(n)); }

std::string counted(std::int64_t n, std::string_view noun) {
  return fmt::format("{} {}{}", human_count(n), noun, n == 1 ? "" : "s");
}

std::string human_usd(Int128 picousd, bool estimated) {
  const std::string mark = estimated ? "~" : "";
  if (picousd == 0) return mark + "$0";
  const bool negative = picousd < 0;
  const Int128 amount = negative ? -picousd : picousd;
  std::string digits;
  if (amount >= kPicousdPerUsd) {
    digits = with_commas(format_usd(amount, 2));
  } else {
    const int significant = static_cast<int>(to_string(amount).size());  // of twelve decimals, those from the first that is not 0
    digits = trim_zeros(format_usd(amount, std::min(12, 15 - significant)), 2);
  }
  return mark + (negative ? "-$" : "$") + digits;
}

std::string human_usd(const std::optional<Picousd>& amount, bool estimated) {
  return amount ? human_usd(Int128{amount->value}, estimated) : "unknown";
}

std::string exact_usd(Int128 picousd) { return trim_zeros(format_usd(picousd, 12), 0); }

std::string human_duration(std::int64_t us) {
  if (us < 0) return "-" + human_duration(-us);
  if (us < 1000) return fmt::format("{} us", us);
  if (us < 9'950) return fmt::format("{:.1f} ms", static_cast<double>(us) / 1e3);
  if (us < 999'500) return fmt::format("{:.0f} ms", static_cast<double>(us) / 1e3);
  if (us < 59'950'000) return fmt::format("{:.1f} s", static_cast<double>(us) / 1e6);
  const std::int64_t s = (us + 500'000) / 1'000'000;
  if (s < 3600) return fmt::format("{} min {} s", s / 60, s % 60);
  if (s < 86'400) return fmt::format("{} h {} min", s / 3600, s % 3600 / 60);
  return fmt::format("{} d {} h", s / 86'400, s % 86'400 / 3600);
}

std::string human_bytes(std::uint64_t bytes) {
  static constexpr std::array<const char*, 5> kUnits{"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1024.0;
  std::size_t unit = 0;
  while (value >= 1023.95 && unit + 1 < kUnits.size()) {
    value /= 1024.0;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string percent(Int128 part, Int128 whole) {
  if (whole <= 0) return "-";
  const std::string text = format_ratio(part * 100, whole, 1);
  if (part > 0 && text == "0.0") return "<0.1 %";
  if (part < whole && text == "100.0") return ">99.9 %";
  return text + " %";
}

std::string human_time(WallTime t) {
  std::string text = format_rfc3339({t.us - (t.us % 1'000'000 + 1'000'000) % 1'000'000});
  text.pop_back();  // Z
  text[text.find('T')] = ' ';
  return text;
}

std::string short_time(WallTime t, WallTime now) {
  const std::string text = human_time(t);
  const std::size_t dash = text.find('-', 1);
  return text.compare(0, dash, human_time(now), 0, dash) == 0 ? text.substr(dash + 1) : text;
}

std::string human_ago(WallTime t, WallTime now) {
  const std::int64_t s = (now.us - t.us) / 1'000'000;
  if (s < -5) return "in the future";
  if (s < 5) return "just now";
  if (s < 120) return fmt::format("{} s ago", s);
  if (s < 7200) return fmt::format("{} min ago", s / 60);
  if (s < 172'800) return fmt::format("{} h ago", s / 3600);
  return fmt::format("{} d ago", s / 86'400);
}

std::string human_confidence(double value, std::optional<double> other) {
  int decimals = 2;
  if (other && *other != value) {
    while (decimals < 6 && fmt::format("{:.{}f}", value, decimals) == fmt::format("{:.{}f}", *other, decimals)) ++decimals;
  }
  return fmt::format("{:.{}f}", value, decimals);
}

}  // namespace understudy::app
