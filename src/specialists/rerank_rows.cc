#include "specialists/rerank_rows.h"

#include <fmt/format.h>
#include <unordered_map>

#include "specialists/internal/row_fields.h"

namespace understudy::specialists {
namespace {

using internal::refuse;

Result<RerankRow> parse_object(const simdjson::dom::element& object) {
  if (!object.is_object()) return refuse("not a JSON object with \"query\", \"doc\" and \"rel\"");
  RerankRow row;
  auto query = internal::read_full_text(object, "query"), doc = internal::read_text(object, "doc");
  auto qid = internal::read_id(object, "qid"), did = internal::read_id(object, "did");
  for (auto [from, to] : {std::pair(&query, &row.query), {&doc, &row.doc}, {&qid, &row.qid}, {&did, &row.did}}) {
    if (!*from) return fail(from->error());
    *to = std::move(**from);
  }
  if (row.qid.empty()) row.qid = row.query;
  const auto rel = internal::read_number(object, "rel", 1e6, row.gain);
  if (!rel) return fail(rel.error());
  row.relevant = *rel && row.gain > 0;
  row.labelled = *rel;
  if (!*rel) {
    const auto score = internal::read_number(object, "teacher_score", 1, row.gain);
    if (!score) return fail(score.error());
    row.relevant = *score && row.gain >= 0.5;
    row.labelled = *score;
  }
  const auto weight = internal::read_weight(object);
  if (!weight) return fail(weight.error());
  row.weight = *weight;
  return row;
}

}  // namespace

Result<RerankRow> parse_rerank_row(std::string_view line) { return internal::parse_line(line, parse_object); }

Result<RerankRows> parse_rerank_rows(std::string_view text, const std::string& file, const RowChoice& choice) {
  RerankRows out;
  out.file = file;
  std::unordered_map<std::string, std::size_t> query_of, line_of;
  constexpr std::string_view kExample = R"({"qid": "1", "query": "who wrote it", "did": "a", "doc": "...", "rel": 1})";
  const auto read = internal::each_chosen_row(text, file, choice, kExample, [&](const simdjson::dom::element& object, std::size_t number) -> Result<void> {
    auto row = parse_object(object);
    if (!row) return fail(row.error());
    if (choice.labelled && !row->labelled) return refuse("neither \"rel\" nor \"teacher_score\": how relevant is the document?");
    row->line = number;
    if (row->did.empty()) row->did = fmt::format("line {}", number);
    const auto [query, is_new] = query_of.try_emplace(row->qid, out.queries.size());
    if (is_new) out.queries.emplace_back();
    auto& rows = out.queries[query->second];
    if (!rows.empty() && out.rows[rows[0]].query != row->query)
      return refuse(fmt::format("qid \"{}\" had another query on line {}: give each query an id of its own", row->qid, out.rows[rows[0]].line));
    if (const auto [place, fresh] = line_of.try_emplace(row->qid + '\n' + row->did, number); !fresh)
      return refuse(fmt::format("did \"{}\" of qid \"{}\" was on line {} already: give each document of a query once", row->did, row->qid, place->second));
    rows.push_back(static_cast<std::uint32_t>(out.rows.size()));
    out.rows.push_back(std::move(*row));
    return {};
  });
  if (!read) return fail(read.error());
  return out;
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
