#include "specialists/internal/row_fields.h"

#include <fmt/format.h>

namespace understudy::specialists::internal {

Unexpected refuse(std::string message) { return fail(ErrorKind::kInvalidRequest, std::move(message)); }

Result<std::string> read_id(const simdjson::dom::element& object, const char* key) {
  simdjson::dom::element value;
  if (object[key].get(value) || value.is_null()) return std::string();
  if (value.is_string()) return std::string(value.get_string().value_unsafe());
  if (value.is_number()) return std::string(simdjson::minify(value));
  return refuse(fmt::format("\"{}\" must be a text or a number", key));
}

Result<std::string> read_text(const simdjson::dom::element& object, const char* key) {
  std::string_view text;
  if (object[key].get(text)) return refuse(fmt::format("no \"{}\", or it is no string", key));
  if (text.size() > kLongestText) return refuse(fmt::format("\"{}\" has {} bytes and at most {} are taken: cut it into passages", key, text.size(), kLongestText));
  return std::string(text);
}

Result<std::string> read_full_text(const simdjson::dom::element& object, const char* key) {
  auto text = read_text(object, key);
  if (text && text->find_first_not_of(" \t\r\n") == std::string::npos) return refuse(fmt::format("\"{}\" is empty: leave the row out or give its {}", key, key));
  return text;
}

Result<bool> read_number(const simdjson::dom::element& object, const char* key, double most, double& to) {
  simdjson::dom::element value;
  if (object[key].get(value) || value.is_null()) return false;
  if (value.get(to) || !(to >= 0 && to <= most)) return refuse(fmt::format("\"{}\" must be a number from 0 to {}", key, most));
  return true;
}

Result<double> read_weight(const simdjson::dom::element& object) {
  double weight = 1;
  const auto given = read_number(object, "weight", 1e6, weight);
  if (!given) return fail(given.error());
  if (weight <= 0) return refuse("\"weight\" must be above 0: leave the row out if it does not count");
  return weight;
}

Result<void> RowIds::take(std::string& id, std::size_t line) {
  if (id.empty()) id = fmt::format("line {}", line);
  const auto [place, fresh] = line_of_.try_emplace(id, line);
  if (!fresh) return refuse(fmt::format("id \"{}\" was on line {} already: give each row an id of its own, or none", id, place->second));
  return {};
}

Result<void> each_chosen_row(std::string_view text, const std::string& file, const RowChoice& choice, std::string_view example, const TakeRow& take) {
  simdjson::dom::parser parser;
  std::map<std::string, std::size_t> splits;
  std::size_t lines = 0, taken = 0;
  Result<void> done;
  each_line(text, [&](std::string_view line, std::size_t number) {
    ++lines;
    const auto stop = [&](const Error& what) {
      done = fail(error_at(file, number, what));
      return false;
    };
    simdjson::dom::element object;
    if (parser.parse(line.data(), line.size()).get(object)) return stop(Error(ErrorKind::kInvalidRequest, not_json(line)));
    std::string_view split;
    const bool has_split = object.is_object() && !object["split"].get(split);
    if (has_split) ++splits[std::string(split)];
    if (choice.split && (!has_split || split != *choice.split)) return true;
    bool wanted = false;
    if (!choice.only.empty() && (!object.is_object() || object[choice.only].get(wanted) || !wanted)) return true;
    if (auto good = take(object, number); !good) return stop(good.error());
    ++taken;
    return true;
  });
  if (!done || taken > 0) return done;
  if (lines == 0) return refuse(fmt::format("{} has no rows: one JSON object a line is needed, such as {}", file, example));
  if (choice.split && !splits.contains(*choice.split)) {
    return refuse(fmt::format("{} has no rows of split \"{}\": {}", file, *choice.split,
                              splits.empty() ? "no row has a \"split\"; leave --split out to take all rows" : "it has " + listed(splits)));
  }
  return refuse(fmt::format("{} has no row on which \"{}\" is true", file, choice.only));
}

}  // namespace understudy::specialists::internal
