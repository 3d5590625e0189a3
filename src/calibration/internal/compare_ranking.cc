#include "calibration/internal/compare_ranking.h"

#include <simdjson.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "calibration/internal/compare_json.h"

namespace understudy::calibration::internal {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string item_from(std::string_view text) {
  constexpr std::string_view kOuter = " \t\r[](){}\"'`*";
  const std::size_t first = text.find_first_not_of(kOuter);
  if (first == std::string_view::npos) return {};
  text = text.substr(first, text.find_last_not_of(kOuter) - first + 1);
  // "2. doc7" at the head of a line is position and item; "2." alone is an item.
  std::size_t digits = 0;
  while (digits < text.size() && is_digit(text[digits])) ++digits;
  if (digits > 0 && digits + 1 < text.size() && (text[digits] == '.' || text[digits] == ')') && text[digits + 1] == ' ') {
    return item_from(text.substr(digits + 2));
  }
  return std::string(text);
}

bool distinct(const std::vector<std::string>& items) {
  const std::unordered_set<std::string_view> seen(items.begin(), items.end());
  return seen.size() == items.size();
}

}  // namespace

std::vector<std::string> read_ranking(std::string_view text) {
  text = without_fence(text);
  std::vector<std::string> items;
  if (!text.empty() && text.front() == '[') {
    simdjson::dom::parser parser;
    simdjson::dom::array array;
    if (parser.parse(text.data(), text.size(), true).get(array) == simdjson::SUCCESS) {
      for (const simdjson::dom::element entry : array) {
        std::string_view string;
        items.push_back(entry.get(string) == simdjson::SUCCESS ? std::string(string) : simdjson::minify(entry));
      }
      return items;
    }
  }
  while (!text.empty()) {
    const std::size_t end = text.find_first_of(">,\n");
    std::string item = item_from(text.substr(0, end));
    if (!item.empty()) items.push_back(std::move(item));
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  }
  return items;
}

double kendall_tau(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  const std::size_t n = a.size();
  if (n < 2) return 1;
  std::unordered_map<std::string_view, std::size_t> place;
  for (std::size_t i = 0; i < n; ++i) place[b[i]] = i;
  std::int64_t score = 0;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = i + 1; j < n; ++j) score += place[a[i]] < place[a[j]] ? 1 : -1;
  }
  return static_cast<double>(score) / (static_cast<double>(n) * static_cast<double>(n - 1) / 2);
}

std::optional<bool> rankings_agree(const ComparatorSpec& spec, std::string_view a, std::string_view b) {
  const std::vector<std::string> x = read_ranking(a), y = read_ranking(b);
  // Kendall's tau is quadratic: a list that long is not a ranking that someone asked for.
  constexpr std::size_t kMostItems = 5000;
  if (x.empty() || y.empty() || !distinct(x) || !distinct(y) || std::max(x.size(), y.size()) > kMostItems) return std::nullopt;
  if (spec.top_k == 0) {
    if (x.size() != y.size() || !std::is_permutation(x.begin(), x.end(), y.begin())) return false;
    return kendall_tau(x, y) >= spec.level - 1e-12;
  }
  const auto k = static_cast<std::size_t>(spec.top_k);
  const std::size_t kx = std::min(k, x.size()), ky = std::min(k, y.size());
  const std::unordered_set<std::string_view> top(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(kx));
  const auto common = std::count_if(y.begin(), y.begin() + static_cast<std::ptrdiff_t>(ky), [&](const std::string& item) { return top.contains(item); });
  return static_cast<double>(common) / static_cast<double>(std::max(kx, ky)) >= spec.level - 1e-12;
}

}  // namespace understudy::calibration::internal
