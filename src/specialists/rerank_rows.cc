#include "specialists/rerank_rows.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <unordered_map>

#include "specialists/internal/json_lines.h"

namespace understudy::specialists {
namespace {

Unexpected refuse(std::string message) { return fail(ErrorKind::kInvalidRequest, std::move(message)); }

/// A text or number as text; empty where there is none.
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

Result<RerankRow> parse_object(const simdjson::dom::element& object) {
  if (!object.is_object()) return refuse("not a JSON object with \"query\", \"doc\" and \"rel\"");
  RerankRow row;
  for (const auto& [key, to] : {std::pair("query", &row.query), {"doc", &row.doc}}) {
    auto text = read_text(object, key);
    if (!text) return fail(text.error());
    *to = std::move(*text);
  }
  if (row.query.find_first_not_of(" \t\r\n") == std::string::npos) return refuse("\"query\" is empty: leave the row out or give its query");
  for (const auto& [key, to] : {std::pair("qid", &row.qid), {"did", &row.did}}) {
    auto id = read_id(object, key);
    if (!id) return fail(id.error());
    *to = std::move(*id);
  }
  if (row.qid.empty()) row.qid = row.query;
  const auto number = [&](const char* key, double most, double& to) -> Result<bool> {
    simdjson::dom::element value;
    if (object[key].get(value) || value.is_null()) return false;
    if (value.get(to) || !(to >= 0 && to <= most)) return refuse(fmt::format("\"{}\" must be a number from 0 to {}", key, most));
    return true;
  };
  const auto rel = number("rel", 1e6, row.gain);
  if (!rel) return fail(rel.error());
  row.relevant = *rel && row.gain > 0;
  row.labelled = *rel;
  if (!*rel) {
    const auto score = number("teacher_score", 1, row.gain);
    if (!score) return fail(score.error());
    row.relevant = *score && row.gain >= 0.5;
    row.labelled = *score;
  }
  const auto weight = number("weight", 1e6, row.weight);
  if (!weight) return fail(weight.error());
  if (row.weight <= 0) return refuse("\"weight\" must be above 0: leave the row out if it does not count");
  return row;
}

}  // namespace

Result<RerankRow> parse_rerank_row(std::string_view line) {
  simdjson::dom::parser parser;
  simdjson::dom::element object;
  if (parser.parse(line.data(), line.size()).get(object)) return refuse(internal::not_json(line));
  return parse_object(object);
}

Result<RerankRows> parse_rerank_rows(std::string_view text, const std::string& file, const RowChoice& choice) {
  RerankRows out;
  out.file = file;
  simdjson::dom::parser parser;
  std::map<std::string, std::size_t> splits;
  std::unordered_map<std::string, std::size_t> query_of, line_of;
  std::size_t lines = 0;
  std::optional<Error> error;
  internal::each_line(text, [&](std::string_view line, std::size_t number) {
    ++lines;
    const auto stop = [&](const Error& what) {
      error = internal::error_at(file, number, what);
      return false;
    };
    const auto bad = [&](std::string message) { return stop(Error(ErrorKind::kInvalidRequest, std::move(message))); };
    simdjson::dom::element object;
    if (parser.parse(line.data(), line.size()).get(object)) return bad(internal::not_json(line));
    std::string_view split;
    const bool has_split = object.is_object() && !object["split"].get(split);
    if (has_split) ++splits[std::string(split)];
    if (choice.split && (!has_split || split != *choice.split)) return true;
    bool wanted = false;
    if (!choice.only.empty() && (!object.is_object() || object[choice.only].get(wanted) || !wanted)) return true;
    auto row = parse_object(object);
    if (!row) return stop(row.error());
    if (choice.labelled && !row->labelled) return bad("neither \"rel\" nor \"teacher_score\": how relevant is the document?");
    row->line = number;
    if (row->did.empty()) row->did = fmt::format("line {}", number);
    const auto [query, is_new] = query_of.try_emplace(row->qid, out.queries.size());
    if (is_new) out.queries.emplace_back();
    auto& rows = out.queries[query->second];
    if (!rows.empty() && out.rows[rows[0]].query != row->query)
      return bad(fmt::format("qid \"{}\" had another query on line {}: give each query an id of its own", row->qid, out.rows[rows[0]].line));
    if (const auto [place, fresh] = line_of.try_emplace(row->qid + '\n' + row->did, number); !fresh)
      return bad(fmt::format("did \"{}\" of qid \"{}\" was on line {} already: give each document of a query once", row->did, row->qid, place->second));
    rows.push_back(static_cast<std::uint32_t>(out.rows.size()));
    out.rows.push_back(std::move(*row));
    return true;
  });
  if (error) return fail(std::move(*error));
  if (!out.rows.empty()) return out;
  if (lines == 0) return refuse(fmt::format("{} has no rows: one JSON object a line is needed, such as {{\"qid\": \"1\", \"query\": \"who wrote it\", \"did\": \"a\", \"doc\": \"...\", \"rel\": 1}}", file));
  if (choice.split && !splits.contains(*choice.split)) {
    return refuse(fmt::format("{} has no rows of split \"{}\": {}", file, *choice.split,
                              splits.empty() ? "no row has a \"split\"; leave --split out to take all rows" : "it has " + internal::listed(splits)));
  }
  return refuse(fmt::format("{} has no row on which \"{}\" is true", file, choice.only));
}

RerankRows rows_of_queries(const RerankRows& rows, const std::vector<std::size_t>& queries) {
  RerankRows out;
  out.file = rows.file;
  for (const std::size_t q : queries) {
    out.queries.emplace_back();
    for (const std::uint32_t i : rows.queries[q]) {
      out.queries.back().push_back(static_cast<std::uint32_t>(out.rows.size()));
      out.rows.push_back(rows.rows[i]);
    }
  }
  return out;
}

}  // namespace understudy::specialists
