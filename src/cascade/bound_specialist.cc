#include "cascade/bound_specialist.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include "base/json_writer.h"
#include "specialists/intent_specialist.h"

namespace understudy::cascade {
namespace {

constexpr std::string_view kLabel = "{label}", kLabels = "{labels}";

std::string_view place_of(const specialists::IntentSpecialist& intent) { return intent.several() ? kLabels : kLabel; }

/// Texts of the task that look stranger than all but one in twenty of its own are less to be trusted the stranger they are.
constexpr double kUsualScope = 0.05;

std::string filled(std::string_view render, std::string_view place, std::string_view with) {
  std::string out;
  for (std::size_t at = 0;;) {
    const std::size_t found = render.find(place, at);
    out += render.substr(at, found == std::string_view::npos ? found : found - at);
    if (found == std::string_view::npos) return out;
    out += with;
    at = found + place.size();
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

/// Labels are sorted by name, and so is the array.
std::string array_of(std::span<const std::string> labels, std::span<const std::uint32_t> holds) {
  std::string out = "[";
  for (const std::uint32_t c : holds) {
    if (out.size() > 1) out += ", ";
    append_json_string(out, labels[c]);
  }
  return out + "]";
}

/// The first "{word}" that is not `place`; "" where there is none. What is JSON's own holds quotes, spaces or other brackets.
std::string_view other_placeholder(std::string_view render, std::string_view place) {
  const auto in_word = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.'; };
  for (std::size_t open = render.find('{'); open != std::string_view::npos; open = render.find('{', open + 1)) {
    std::size_t end = open + 1;
    while (end < render.size() && in_word(render[end])) ++end;
    if (end == open + 1 || end == render.size() || render[end] != '}') continue;
    const std::string_view word = render.substr(open, end + 1 - open);
    if (word != place) return word;
  }
  return {};
}

}  // namespace

std::string BoundSpecialist::written_as() const { return texts ? texts->extract.text() + "\n" + texts->form.text() : render; }

Result<std::shared_ptr<const BoundSpecialist>> bind_specialist(specialists::SpecialistPtr specialist, std::string render) {
  const specialists::IntentSpecialist& intent = *specialist->intent;
  const std::string_view place = place_of(intent);
  const std::string_view why = intent.several() ? " (of this specialist several labels may hold: they become a JSON array)" : "";
  if (const std::string_view other = other_placeholder(render, place); !other.empty()) return fail(ErrorKind::kConfig, fmt::format("has {}; only {} is filled in{}", other, place, why));
  if (render.find(place) == std::string::npos) return fail(ErrorKind::kConfig, fmt::format("has no {}: every answer would be the same{}", place, why));
  auto bound = std::make_shared<BoundSpecialist>();
  const auto labels = intent.labels();
  const auto all_json = [&](auto label_text) { return std::ranges::all_of(labels, [&](const std::string& label) { return is_json(filled(render, place, label_text(label))); }); };
  const auto as_it_is = [](const std::string& label) { return label; };
  const std::string one = intent.several() ? array_of(labels, std::array{0u}) : labels.front();
  if (intent.several()) {
    bound->json = is_json(filled(render, place, "[]")) && is_json(filled(render, place, one));   // in a JSON string the empty array would do, another not
  } else {
    bound->escapes = all_json(escaped);
    bound->json = bound->escapes || all_json(as_it_is);
  }
  const std::size_t first = render.find_first_not_of(" \t\r\n");
  if (!bound->json && render[first] == '{' && render.compare(first, place.size(), place) != 0) {
    return fail(ErrorKind::kConfig, fmt::format("begins as JSON does, but with a label filled in it is none: {}", filled(render, place, one)));
  }
  bound->specialist = std::move(specialist);
  bound->render = std::move(render);
  return std::shared_ptr<const BoundSpecialist>(std::move(bound));
}

std::string plain_render(const specialists::NamedSpecialist& specialist) { return std::string(place_of(*specialist.intent)); }

BoundReading read_prediction(const BoundSpecialist& bound, const specialists::IntentPrediction& prediction) {
  const specialists::IntentSpecialist& intent = *bound.specialist->intent;
  BoundReading reading;
  float margin = prediction.top.margin;
  std::string with;
  if (intent.several()) {
    margin = 1;
    for (const float p : prediction.each) margin = std::min(margin, std::abs(2 * p - 1));
    with = array_of(intent.labels(), prediction.holds);
  } else {
    const std::string& label = intent.labels()[prediction.top.top[0].label];
    with = bound.escapes ? escaped(label) : label;
  }
  reading.answer = filled(bound.render, place_of(intent), with);
  reading.raw = static_cast<double>(prediction.sure) * std::min(1.0, static_cast<double>(prediction.in_scope) / kUsualScope);
  reading.features = {margin, prediction.in_scope};
  return reading;
}

}  // namespace understudy::cascade
