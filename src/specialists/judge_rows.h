#pragma once
/// Claims with their evidence, and whether the evidence supports them, from JSON Lines: `id, claim, evidence, label` or `teacher_score`, and
/// `split`, `weight`, `gold_sentences`.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "specialists/intent_rows.h"

namespace understudy::specialists {

inline constexpr std::size_t kJudgeFolds = 5, kMostGoldSentences = 1000;

struct JudgeRow {
  std::string id;  ///< the row's, else "line N"
  std::string claim, evidence;
  std::vector<std::string> gold;  ///< sentences of the evidence that the claim was judged by; each stands in it
  bool supported = false;  ///< label 1 or true, or teacher_score >= 0.5
  bool labelled = false;   ///< one of both was given
  double weight = 1;       ///< how much the row counts, (0, 1e6]
  std::size_t line = 0;    ///< from 1
  std::size_t left_out_of = kJudgeFolds;  ///< the fold that has not seen it, of a row that a judge kept; kJudgeFolds: none has
};

struct JudgeRows {
  std::string file;
  std::vector<JudgeRow> rows;
};

/// All lines; empty ones are passed over. kInvalidRequest, with file and line: not UTF-8 or no object; no claim or no evidence, or an empty one;
/// a text over kLongestText; a label that is neither 0, 1, true nor false; teacher_score or weight out of range; neither of both where
/// `choice.labelled`; gold_sentences that are no list of at most kMostGoldSentences texts, or one of them empty or not in the evidence; an id twice; no row of the split, with the splits that there are; no row at all.
Result<JudgeRows> parse_judge_rows(std::string_view text, const std::string& file, const RowChoice& choice);

/// One line, as above, without place.
Result<JudgeRow> parse_judge_row(std::string_view line);

/// The row's evidence with half of its gold sentences (rounded up, drawn by the seed) taken out wherever they stand: what a supported claim needs is
/// missing there, among much that is about the same things. nullopt: the row names none, or no letter or digit is left.
std::optional<std::string> evidence_without_gold(const JudgeRow& row, std::uint64_t seed);

}  // namespace understudy::specialists
