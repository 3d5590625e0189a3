#include "cascade/bound_specialist.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>

#include "base/json_writer.h"
#include "specialists/intent_specialist.h"

namespace understudy::cascade {
namespace {

constexpr std::string_view kPlace = "{label}";

/// Texts of the task that look stranger than all but one in twenty of its own are less to be trusted the stranger they are.
constexpr double kUsualScope = 0.05;

std::string filled(std::string_view render, std::string_view label) {
  std::string out;
  for (std::size_t at = 0;;) {
    const std::size_t place = render.find(kPlace, at);
    out += render.substr(at, place == std::string_view::npos ? place : place - at);
    if (place == std::string_view::npos) return out;
    out += label;
    at = place + kPlace.size();
  }
}

/// A label as it stands inside a JSON string.
std::string escaped(std::string_view label) {
  std::string out;
  append_json_string(out, label);
  return out.substr(1, out.size() - 2);
}

bool is_json(const std::string& text) {
  simdjson::dom::parser parser;
  return parser.parse(text).error() == simdjson::SUCCESS;
}

/// The first "{word}" that is no {label}; "" where there is none. What is JSON's own holds quotes, spaces or other brackets.
std::string_view other_placeholder(std::string_view render) {
  const auto in_word = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.'; };
  for (std::size_t open = render.find('{'); open != std::string_view::npos; open = render.find('{', open + 1)) {
    std::size_t end = open + 1;
    while (end < render.size() && in_word(render[end])) ++end;
    if (end == open + 1 || end == render.size() || render[end] != '}') continue;
    const std::string_view word = render.substr(open, end + 1 - open);
    if (word != kPlace) return word;
  }
  return {};
}

}  // namespace

Result<std::shared_ptr<const BoundSpecialist>> bind_specialist(specialists::SpecialistPtr specialist, std::string render) {
  if (const std::string_view other = other_placeholder(render); !other.empty()) return fail(ErrorKind::kConfig, fmt::format("has {}; only {} is filled in", other, kPlace));
  if (render.find(kPlace) == std::string::npos) return fail(ErrorKind::kConfig, fmt::format("has no {}: every answer would be the same", kPlace));
  if (specialist->intent->several()) return fail(ErrorKind::kConfig, "cannot be used: this specialist gives any number of labels to a text, and a task needs one answer");
  auto bound = std::make_shared<BoundSpecialist>();
  const auto labels = specialist->intent->labels();
  const auto all = [&](auto label_text) {
    bound->answers.clear();
    for (const std::string& label : labels) bound->answers.push_back(filled(render, label_text(label)));
    return std::all_of(bound->answers.begin(), bound->answers.end(), is_json);
  };
  const auto as_it_is = [](const std::string& label) { return label; };
  bound->json = all(escaped) || all(as_it_is);
  const std::size_t first = render.find_first_not_of(" \t\r\n");
  if (!bound->json && render[first] == '{' && render.compare(first, kPlace.size(), kPlace) != 0) {
    return fail(ErrorKind::kConfig, fmt::format("begins as JSON does, but with a label filled in it is none: {}", bound->answers.front()));
  }
  bound->specialist = std::move(specialist);
  bound->render = std::move(render);
  return std::shared_ptr<const BoundSpecialist>(std::move(bound));
}

BoundReading read_prediction(const specialists::IntentPrediction& prediction) {
  BoundReading reading;
  reading.label = prediction.top.top[0].label;
  reading.raw = static_cast<double>(prediction.probability) * std::min(1.0, static_cast<double>(prediction.in_scope) / kUsualScope);
  reading.features = {prediction.top.margin, prediction.in_scope};
  return reading;
}

}  // namespace understudy::cascade
