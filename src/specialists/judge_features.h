#pragma once
/// What a judge reads of a claim and its evidence: which sentences bear on the claim, how much of it they say, and what speaks against it.
///
/// Evidence is cut into sentences; those that share the rarest words with the claim, and where there is an encoder are nearest to it, are the best
/// ones. Columns: the claim's words, word pairs and longest runs found in the best sentence, the best three and all of the evidence; its numbers and
/// names that are missing, and others in their place; a negation or an opposite on one side only (English); cosines, of sentences and of single
/// tokens (late interaction); lengths; words that the claim puts together and the evidence nowhere; of claims of several sentences the least supported
/// one, beside its own best places; what a cross-encoder says of claim and best sentences, where there is one that has not seen the rows; shares of its
/// names and numbers that are missing, its years, and the most of it that stands in one place of 30, 60 or 150 words.

#include <Eigen/Core>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "specialists/pair_specialist.h"
#include "specialists/rerank_features.h"

namespace understudy::specialists {

/// At full stops, question and exclamation marks and ends of lines; pieces over 60 words are cut. Pieces without letter or digit are left out; at most
/// 4,000. Views into `text`.
std::vector<std::string_view> sentences_of(std::string_view text);

/// In how many texts each word is, by the words of this file (their endings cut), for rarity.
TermStatistics word_statistics(std::span<const std::string_view> texts);

/// A judge reads all of them, or the first kFirstJudgeColumns, as one from before the others were there does.
inline constexpr Eigen::Index kJudgeColumns = 73, kFirstJudgeColumns = 65;

using JudgeEngines = PairEngines;

struct JudgeReading {
  Eigen::VectorXd x;     ///< kJudgeColumns, finite
  std::string evidence;  ///< the best sentences, in their order: what a cross-encoder reads
};

/// Thread-safe. Columns of what is not there are 0, and so are those behind the first `columns`, which nobody reads then. At most 16 sentences a row go through the encoder, chosen by words, those that `engines.memory` does not
/// know, and at most 20 pairs through the cross-encoder. kInternal: one of them failed.
Result<JudgeReading> read_judged(const TermStatistics& statistics, std::string_view claim, std::string_view evidence, const JudgeEngines& engines,
                                 Eigen::Index columns = kJudgeColumns);

}  // namespace understudy::specialists
