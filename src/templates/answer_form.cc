#include "templates/answer_form.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/json_writer.h"

namespace understudy::templates {
namespace {

constexpr std::array<std::string_view, 4> kPlaces{"{ranking}", "{scores}", "{verdict}", "{score}"};
constexpr std::array<std::string_view, 4> kItemPlaces{"{n}", "{index}", "{id}", "{score}"};

/// The first "{word}" that is none of `known`; "" where there is none. JSON's own braces hold quotes, spaces or other brackets.
std::string_view unknown_place(std::string_view text, std::span<const std::string_view> known) {
  const auto in_word = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.'; };
  for (std::size_t open = text.find('{'); open != std::string_view::npos; open = text.find('{', open + 1)) {
    std::size_t end = open + 1;
    while (end < text.size() && in_word(text[end])) ++end;
    if (end == open + 1 || end == text.size() || text[end] != '}') continue;
    const std::string_view word = text.substr(open, end + 1 - open);
    if (std::find(known.begin(), known.end(), word) == known.end()) return word;
  }
  return {};
}

std::string filled(std::string_view text, std::string_view place, std::string_view with) {
  std::string out;
  for (std::size_t at = 0;;) {
    const std::size_t found = text.find(place, at);
    out += text.substr(at, found == std::string_view::npos ? found : found - at);
    if (found == std::string_view::npos) return out;
    out += with;
    at = found + place.size();
  }
}

std::string escaped(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out.substr(1, out.size() - 2);
}

std::string number(const AnswerForm& form, double probability) {
  const double value = form.lowest + std::clamp(probability, 0.0, 1.0) * (form.highest - form.lowest);
  std::string out = fmt::format("{:.{}f}", value, form.digits);
  if (out.find_first_not_of("-0.") == std::string::npos && out.front() == '-') out.erase(0, 1);   // "-0.00"
  return out;
}

std::string_view bare(std::string_view separator) {
  const std::size_t first = separator.find_first_not_of(" \t\r\n");
  return first == std::string_view::npos ? separator : separator.substr(first, separator.find_last_not_of(" \t\r\n") - first + 1);
}

Unexpected wrong(std::string_view key, std::string message) { return fail(Error(ErrorKind::kConfig, std::move(message), std::string(key))); }

}  // namespace

std::string AnswerForm::text() const {
  return fmt::format("{}\n{}\n{}\n{} {} {} {}\n{}\n{}", render, item, separator, top, digits, lowest, highest, verdicts[0], verdicts[1]);
}

Result<void> check(const AnswerForm& form) {
  if (const std::string_view word = unknown_place(form.render, kPlaces); !word.empty()) {
    return wrong("render", fmt::format("has {}; what can be filled in is {}", word, fmt::join(kPlaces, ", ")));
  }
  const bool ranking = form.has("{ranking}"), scores = form.has("{scores}"), verdict = form.has("{verdict}"), score = form.has("{score}");
  if (!ranking && !scores && !verdict && !score) return wrong("render", fmt::format("has none of {}: every answer would be the same", fmt::join(kPlaces, ", ")));
  if (ranking && scores) return wrong("render", "has {ranking} and {scores}: documents are listed once");
  if ((ranking || scores) && (verdict || score)) return wrong("render", "has a list of documents and what is said of one alone: {verdict} and {score} have no place there (an item has its own {score})");
  if (verdict && (form.verdicts[0].empty() || form.verdicts[1].empty() || form.verdicts[0] == form.verdicts[1])) return wrong("verdicts", "must be two words that differ, for yes and for no: [\"yes\", \"no\"]");
  if (!std::isfinite(form.lowest) || !std::isfinite(form.highest) || form.lowest == form.highest) return wrong("score_range", "must be two numbers that differ: [0, 1], [1, 5]");
  if (!ranking && !scores) return {};
  if (const std::string_view word = unknown_place(form.item, kItemPlaces); !word.empty()) {
    return wrong("item", fmt::format("has {}; what can be filled in is {}", word, fmt::join(kItemPlaces, ", ")));
  }
  const auto in_item = [&](std::string_view place) { return form.item.find(place) != std::string::npos; };
  if (ranking && !in_item("{n}") && !in_item("{index}") && !in_item("{id}")) return wrong("item", "has none of {n}, {index}, {id}: a ranking must name its documents");
  if (scores && !in_item("{score}")) return wrong("item", "has no {score}, which {scores} lists");
  if (form.separator.empty()) return wrong("separator", "is empty: one item could not be told from the next");
  return {};
}

std::vector<std::size_t> best_first(std::span<const double> probability) {
  std::vector<std::size_t> order(probability.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return probability[a] > probability[b]; });
  return order;
}

std::optional<std::string> write_documents(const AnswerForm& form, const ScoredDocuments& documents, bool json) {
  if (documents.probability.empty() || documents.probability.size() != documents.ids.size()) return std::nullopt;
  const bool ranking = form.has("{ranking}");
  std::vector<std::size_t> order(documents.probability.size());
  if (ranking) {
    order = best_first(documents.probability);
    if (form.top != 0 && order.size() > form.top) order.resize(form.top);
  } else {
    std::iota(order.begin(), order.end(), std::size_t{0});
  }
  const std::string_view separator = bare(form.separator);
  std::string list;
  for (const std::size_t i : order) {
    const std::string& id = documents.ids[i];
    if (id.find_first_of("{}\n") != std::string::npos || (!json && (id.find(separator) != std::string::npos || id.find(']') != std::string::npos))) return std::nullopt;
    if (!list.empty()) list += form.separator;
    std::string item = filled(form.item, "{index}", std::to_string(i));
    item = filled(item, "{score}", number(form, documents.probability[i]));
    const std::string name = json ? escaped(id) : id;
    list += filled(filled(item, "{n}", name), "{id}", name);
  }
  return filled(form.render, ranking ? "{ranking}" : "{scores}", list);
}

std::string write_verdict(const AnswerForm& form, bool yes, double probability, bool json) {
  const std::string& word = form.verdicts[yes ? 1 : 0];
  return filled(filled(form.render, "{score}", number(form, probability)), "{verdict}", json ? escaped(word) : word);
}

}  // namespace understudy::templates
