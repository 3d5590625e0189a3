#pragma once
/// Queries with documents and how relevant each is, from JSON Lines: `qid, query, did, doc, rel` or `teacher_score`, and `split`, `weight`.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "specialists/intent_rows.h"

namespace understudy::specialists {

struct RerankRow {
  std::string qid;    ///< the row's, else its query
  std::string did;    ///< the row's, else "line N"
  std::string query, doc;
  double gain = 0;        ///< `rel` (0 or more), else `teacher_score` (0 to 1)
  bool relevant = false;  ///< rel > 0, or teacher_score >= 0.5
  bool labelled = false;  ///< one of both was given
  double weight = 1;      ///< how much the row counts, (0, 1e6]
  std::size_t line = 0;   ///< from 1
};

struct RerankRows {
  std::string file;
  std::vector<RerankRow> rows;
  std::vector<std::vector<std::uint32_t>> queries;  ///< places of each query's rows, in the order of the queries' first rows
};

/// All lines; empty ones are passed over. kInvalidRequest, with file and line: not UTF-8 or no object; no query or an empty one; no doc; a text over
/// kLongestText; rel, teacher_score or weight out of range; neither rel nor teacher_score where `choice.labelled`; a did twice in one query;
/// one qid with two queries; no row of the split, with the splits that there are; no row at all.
Result<RerankRows> parse_rerank_rows(std::string_view text, const std::string& file, const RowChoice& choice);

/// One line, as above, without place.
Result<RerankRow> parse_rerank_row(std::string_view line);

/// The rows of some queries.
RerankRows rows_of_queries(const RerankRows& rows, const std::vector<std::size_t>& queries);

}  // namespace understudy::specialists
