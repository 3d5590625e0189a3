#include "calibration/internal/compare_ranking.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <unordered_map>
#include <unordered_set>
#include <utility>

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

/// What an object of a ranking calls its document, and how good it is.
constexpr std::array<std::string_view, 10> kIdKeys{"index", "id", "n", "did", "doc_id", "document_id", "passage_id", "document", "doc", "passage"};
constexpr std::array<std::string_view, 4> kScoreKeys{"score", "relevance_score", "relevance", "probability"};

/// A string as it is, anything else as JSON writes it.
std::string plain(simdjson::dom::element value) {
  std::string_view string;
  return value.get(string) == simdjson::SUCCESS ? std::string(string) : simdjson::minify(value);
}

template <std::size_t n>
std::optional<simdjson::dom::element> first_of(simdjson::dom::object object, const std::array<std::string_view, n>& keys) {
  for (const std::string_view key : keys) {
    simdjson::dom::element found;
    if (object[key].get(found) == simdjson::SUCCESS) return found;
  }
  return std::nullopt;
}

/// Elements in their order; where all of them are objects with an id and a score, by score.
std::vector<std::string> read_array(simdjson::dom::array array) {
  std::vector<std::string> items;
  std::vector<double> scores;
  for (const simdjson::dom::element entry : array) {
    simdjson::dom::object object;
    const auto id = entry.get(object) == simdjson::SUCCESS ? first_of(object, kIdKeys) : std::nullopt;
    if (!id) {
      items.push_back(plain(entry));
      continue;
    }
    items.push_back(plain(*id));
    double score = 0;
    const auto found = first_of(object, kScoreKeys);
    if (found && found->get(score) == simdjson::SUCCESS) scores.push_back(score);
  }
  if (items.empty() || scores.size() != items.size()) return items;
  std::vector<std::size_t> order(items.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return scores[a] > scores[b]; });
  std::vector<std::string> sorted;
  for (const std::size_t i : order) sorted.push_back(std::move(items[i]));
  return sorted;
}

/// Of a JSON array, or of an object with one array in it: {"ranking": [...]}. nullopt: neither.
std::optional<std::vector<std::string>> read_json(std::string_view text) {
  if (text.empty() || (text.front() != '[' && text.front() != '{')) return std::nullopt;
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  if (parser.parse(text.data(), text.size(), true).get(root) != simdjson::SUCCESS) return std::nullopt;
  simdjson::dom::array array;
  if (root.get(array) == simdjson::SUCCESS) return read_array(array);
  simdjson::dom::object object;
  if (root.get(object) != simdjson::SUCCESS) return std::nullopt;
  std::size_t arrays = 0;
  for (const auto field : object) arrays += field.value.get(array) == simdjson::SUCCESS;
  if (arrays != 1) return std::vector<std::string>();
  return read_array(array);
}

/// "[3] > [1] > [2]" with words before or behind it: the text's only run of bracketed ids joined by '>'. Empty where there is none, or more.
std::vector<std::string> bracketed_run(std::string_view text) {
  std::vector<std::string> found, run;
  bool joined = false;
  const auto ends = [&] {
    if (run.size() < 2) return run.clear(), true;
    if (!found.empty()) return false;
    found = std::exchange(run, {});
    return true;
  };
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t close = text[at] == '[' ? text.find_first_of("]\n", at) : std::string_view::npos;
    if (close != std::string_view::npos && text[close] == ']') {
      if (!joined && !ends()) return {};
      run.push_back(item_from(text.substr(at + 1, close - at - 1)));
      joined = false;
      at = close + 1;
    } else if (text[at] == '>' && !run.empty() && !joined) {
      joined = true;
      ++at;
    } else if (text[at] == ' ' || text[at] == '\t' || text[at] == '\n' || text[at] == '\r') {
      ++at;
    } else {
      if (!ends()) return {};
      joined = false;
      ++at;
    }
  }
  if (!ends()) return {};
  return found;
}

bool distinct(const std::vector<std::string>& items) {
  const std::unordered_set<std::string_view> seen(items.begin(), items.end());
  return seen.size() == items.size();
}

}  // namespace

std::vector<std::string> read_ranking(std::string_view text) {
  text = without_fence(text);
  if (auto json = read_json(text)) return std::move(*json);
  if (auto run = bracketed_run(text); !run.empty()) return run;
  std::vector<std::string> items;
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
