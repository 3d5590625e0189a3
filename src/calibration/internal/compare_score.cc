#include "calibration/internal/compare_score.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "calibration/internal/compare_json.h"

namespace understudy::calibration::internal {

namespace {

using simdjson::dom::element;

constexpr std::array<std::string_view, 11> kKeys{"score", "relevance_score", "relevance", "rating", "grade", "probability", "faithfulness", "faithful", "supported", "verdict", "answer"};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c & 0x80) != 0; }

/// @param beginning  also of "Yes, it does."; "no evidence" is no answer
std::optional<ReadNumber> yes_or_no(std::string_view text, bool beginning) {
  const std::string normal = normalise_text(text);
  for (const auto& [word, value] : {std::pair<std::string_view, double>{"yes", 1}, {"no", 0}, {"true", 1}, {"false", 0}}) {
    if (!normal.starts_with(word)) continue;
    const std::string_view rest = std::string_view(normal).substr(word.size());
    if (rest.empty() || (beginning && std::string_view(",.;:!*_\"'").find(rest.front()) != std::string_view::npos)) return ReadNumber{value, false};
  }
  return std::nullopt;
}

/// Nothing but one number, if need be with its scale: "4", "80%", "4/5", "4 out of 5".
std::optional<ReadNumber> whole(std::string_view text) {
  const std::string normal = normalise_text(text);
  std::string_view first = normal;
  for (const std::string_view scale : {"/", " out of "}) {
    const std::size_t at = first.find(scale);
    if (at == std::string_view::npos) continue;
    const std::string_view most = first.substr(at + scale.size());
    if (most.empty() || most.find_first_not_of("0123456789. ") != std::string_view::npos) return std::nullopt;
    first = first.substr(0, at);
  }
  const std::size_t digit = first.find_first_of("0123456789");
  if (digit == std::string_view::npos || digit > 4 || std::any_of(first.begin(), first.end(), [](char c) { return is_letter(c) && c != 'e'; }) ||
      first.find_first_of(" \n:,;[{") != std::string_view::npos) {
    return std::nullopt;
  }
  return read_number(first);
}

std::optional<ReadNumber> of_value(element value) {
  double number = 0;
  bool truth = false;
  std::string_view string;
  if (value.get(number) == simdjson::SUCCESS) return ReadNumber{number, false};
  if (value.get(truth) == simdjson::SUCCESS) return ReadNumber{truth ? 1.0 : 0.0, false};
  if (value.get(string) != simdjson::SUCCESS) return std::nullopt;
  if (const auto answer = yes_or_no(string, false)) return answer;
  return whole(string);
}

/// `is_json`: whether it was JSON, readable or not.
std::optional<ReadNumber> read_json(std::string_view text, bool& is_json) {
  simdjson::dom::parser parser;
  element root;
  is_json = !text.empty() && parser.parse(text.data(), text.size(), true).get(root) == simdjson::SUCCESS;
  if (!is_json) return std::nullopt;
  simdjson::dom::object object;
  if (root.get(object) != simdjson::SUCCESS) return of_value(root);
  for (const std::string_view key : kKeys) {
    element value;
    if (object[key].get(value) == simdjson::SUCCESS) return of_value(value);
  }
  std::optional<ReadNumber> only;
  for (const auto field : object) {
    const auto read = of_value(field.value);
    if (read && only) return std::nullopt;
    if (read) only = read;
  }
  return only;
}

/// Behind the last "score" or "rating", whatever of ": =*" and "is" stands between.
std::optional<ReadNumber> marked(std::string_view text) {
  const std::string normal = normalise_text(text);
  std::size_t at = std::string::npos;
  for (const std::string_view word : {"score", "rating"}) {
    const std::size_t found = normal.rfind(word);
    if (found != std::string::npos && (at == std::string::npos || found + word.size() > at)) at = found + word.size();
  }
  if (at == std::string::npos) return std::nullopt;
  std::string_view rest = std::string_view(normal).substr(at);
  const auto skip = [&] { while (!rest.empty() && std::string_view(" :=*_\"'`").find(rest.front()) != std::string_view::npos) rest.remove_prefix(1); };
  skip();
  if (rest.starts_with("is ")) rest.remove_prefix(3);
  skip();
  const std::size_t end = rest.find_first_of(" /,;()\"'*");
  std::string_view number = rest.substr(0, end);
  while (!number.empty() && number.back() == '.') number.remove_suffix(1);
  return number.empty() ? std::nullopt : whole(number);
}

bool near(const ComparatorSpec& spec, double a, double b) {
  if (spec.side_of) return (a >= *spec.side_of) == (b >= *spec.side_of);
  return a == b || std::fabs(a - b) <= spec.tolerance + 1e-12;
}

}  // namespace

std::optional<ReadNumber> read_score(std::string_view text) {
  const std::string_view bare = without_fence(text);
  bool is_json = false;
  const auto json = read_json(bare, is_json);
  if (json || (is_json && (bare.front() == '{' || bare.front() == '['))) return json;
  if (const auto one = whole(text)) return one;
  if (const auto answer = yes_or_no(text, true)) return answer;
  if (const auto one = marked(text)) return one;
  return read_number(text);
}

std::optional<std::vector<double>> read_scores(std::string_view text) {
  text = without_fence(text);
  if (text.empty() || text.front() != '[') return std::nullopt;
  simdjson::dom::parser parser;
  simdjson::dom::array array;
  if (parser.parse(text.data(), text.size(), true).get(array) != simdjson::SUCCESS) return std::nullopt;
  std::vector<double> scores;
  for (const element entry : array) {
    double score = 0;
    if (entry.get(score) != simdjson::SUCCESS) return std::nullopt;
    scores.push_back(score);
  }
  if (scores.empty()) return std::nullopt;
  return scores;
}

std::optional<bool> scores_agree(const ComparatorSpec& spec, std::string_view a, std::string_view b) {
  const auto left = read_scores(a), right = read_scores(b);
  if (left && right) return left->size() == right->size() && std::equal(left->begin(), left->end(), right->begin(), [&](double x, double y) { return near(spec, x, y); });
  if (left || right) return std::nullopt;
  const auto x = read_score(a), y = read_score(b);
  if (!x || !y) return std::nullopt;
  return x->percent == y->percent && near(spec, x->value, y->value);
}

}  // namespace understudy::calibration::internal
