#include "specialists/intent_rows.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <unordered_map>

#include "specialists/internal/json_lines.h"

namespace understudy::specialists {

using internal::each_line;

namespace {

/// The label as text; nullopt where it is none.
std::optional<std::string> label_text(simdjson::dom::element value) {
  if (value.is_string()) return std::string(value.get_string().value());
  if (value.is_number() || value.is_bool()) return simdjson::minify(value);
  return std::nullopt;
}

std::optional<float> truth(simdjson::dom::element value) {
  bool flag = false;
  double number = 0;
  if (!value.get(flag)) return flag ? 1.0f : 0.0f;
  if (!value.get(number) && number >= 0 && number <= 1) return static_cast<float>(number);
  return std::nullopt;
}

Result<void> read_labels(simdjson::dom::element value, IntentRow& row) {
  row.has_labels = true;
  if (value.is_array()) {
    row.labels_complete = true;
    const simdjson::dom::array list(value.get_array().value_unsafe());
    for (const auto item : list) {
      auto name = label_text(item);
      if (!name || name->empty()) return fail(ErrorKind::kInvalidRequest, "\"labels\" holds something that is no label: write texts, such as [\"refund\", \"card\"]");
      row.labels.emplace_back(std::move(*name), 1.0f);
    }
    return {};
  }
  if (value.is_object()) {
    const simdjson::dom::object object(value.get_object().value_unsafe());
    for (const auto [key, item] : object) {
      if (item.is_null()) continue;
      const auto holds = truth(item);
      if (!holds || key.empty()) return fail(ErrorKind::kInvalidRequest, fmt::format("\"labels\" says something of \"{}\" that is neither 0, 1, true, false nor between 0 and 1", key));
      row.labels.emplace_back(std::string(key), *holds);
    }
    return {};
  }
  return fail(ErrorKind::kInvalidRequest, "\"labels\" must be a list of labels, or an object of label: 0 or 1");
}

Result<IntentRow> parse_object(const simdjson::dom::element& object) {
  IntentRow row;
  simdjson::dom::element value;
  if (!object.is_object()) return fail(ErrorKind::kInvalidRequest, "not a JSON object with \"text\" and \"label\"");
  std::string_view text;
  if (object["text"].get(text)) return fail(ErrorKind::kInvalidRequest, "no \"text\", or it is no string");
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) return fail(ErrorKind::kInvalidRequest, "\"text\" is empty: leave the row out or give its text");
  if (text.size() > kLongestText) {
    return fail(ErrorKind::kInvalidRequest, fmt::format("\"text\" has {} bytes and at most {} are taken: cut it to the part that tells the label", text.size(), kLongestText));
  }
  row.text = text;
  if (!object["id"].get(value)) row.id = value.is_string() ? std::string(value.get_string().value()) : std::string(simdjson::minify(value));
  if (!object["label"].get(value) && !value.is_null()) {
    auto label = label_text(value);
    if (!label) return fail(ErrorKind::kInvalidRequest, "\"label\" must be a text; several labels of one row go into \"labels\"");
    row.label = std::move(*label);
  }
  if (!object["labels"].get(value) && !value.is_null()) {
    if (auto read = read_labels(value, row); !read) return fail(read.error());
  }
  if (!object["weight"].get(value) && !value.is_null()) {
    double weight = 0;
    if (value.get(weight) || !(weight > 0 && weight <= 1e6)) return fail(ErrorKind::kInvalidRequest, "\"weight\" must be a number above 0 and at most 1,000,000");
    row.weight = static_cast<float>(weight);
  }
  if (!object["oos"].get(value)) row.oos = truth(value).value_or(0) > 0.5f;
  return row;
}

}  // namespace

Result<IntentRow> parse_intent_row(std::string_view line) {
  simdjson::dom::parser parser;
  simdjson::dom::element object;
  if (parser.parse(line.data(), line.size()).get(object)) return fail(ErrorKind::kInvalidRequest, internal::not_json(line));
  return parse_object(object);
}

std::map<std::string, std::size_t> splits_of(std::string_view text) {
  std::map<std::string, std::size_t> splits;
  simdjson::dom::parser parser;
  each_line(text, [&](std::string_view line, std::size_t) {
    simdjson::dom::element object;
    std::string_view split;
    if (!parser.parse(line.data(), line.size()).get(object) && object.is_object() && !object["split"].get(split)) ++splits[std::string(split)];
    return true;
  });
  return splits;
}

Result<IntentRows> parse_intent_rows(std::string_view text, const std::string& file, const RowChoice& choice) {
  IntentRows out;
  out.file = file;
  simdjson::dom::parser parser;
  std::map<std::string, std::size_t> splits;
  std::unordered_map<std::string, std::size_t> line_of;
  std::size_t lines = 0;
  std::optional<Error> error;
  each_line(text, [&](std::string_view line, std::size_t number) {
    ++lines;
    simdjson::dom::element object;
    if (parser.parse(line.data(), line.size()).get(object)) {
      error = internal::error_at(file, number, Error(ErrorKind::kInvalidRequest, internal::not_json(line)));
      return false;
    }
    std::string_view split;
    const bool has_split = object.is_object() && !object["split"].get(split);
    if (has_split) ++splits[std::string(split)];
    if (choice.split && (!has_split || split != *choice.split)) return true;
    bool wanted = false;
    if (!choice.only.empty() && (!object.is_object() || object[choice.only].get(wanted) || !wanted)) return true;
    auto row = parse_object(object);
    if (row && choice.labelled && row->label.empty() && !row->has_labels && !row->oos) {
      row = fail(ErrorKind::kInvalidRequest, "no \"label\" (nor \"labels\", nor \"oos\": true)");
    }
    if (!row) {
      error = internal::error_at(file, number, row.error());
      return false;
    }
    row->line = number;
    if (row->id.empty()) {
      row->id = fmt::format("line {}", number);
    } else if (const auto [place, fresh] = line_of.try_emplace(row->id, number); !fresh) {
      error = internal::error_at(file, number, Error(ErrorKind::kInvalidRequest, fmt::format("id \"{}\" was on line {} already: give each row an id of its own", row->id, place->second)));
      return false;
    }
    out.rows.push_back(std::move(*row));
    return true;
  });
  if (error) return fail(std::move(*error));
  if (!out.rows.empty()) return out;
  if (lines == 0) return fail(ErrorKind::kInvalidRequest, fmt::format("{} has no rows: one JSON object a line is needed, such as {{\"id\": \"1\", \"text\": \"where is my card\", \"label\": \"card_arrival\"}}", file));
  if (choice.split && !splits.contains(*choice.split)) {
    return fail(ErrorKind::kInvalidRequest, fmt::format("{} has no rows of split \"{}\": {}", file, *choice.split,
                                                        splits.empty() ? "no row has a \"split\"; leave --split out to take all rows" : "it has " + internal::listed(splits)));
  }
  return fail(ErrorKind::kInvalidRequest, fmt::format("{} has no row on which \"{}\" is true", file, choice.only));
}

}  // namespace understudy::specialists
