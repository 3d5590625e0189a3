#pragma once
/// What a judge reads of a claim and its evidence: which sentences bear on the claim, how much of it they say, and what speaks against it.
///
/// Evidence is cut into sentences; those that share the rarest words with the claim, and where there is an encoder are nearest to it, are the best
/// ones. Columns: the claim's words, word pairs and longest runs found in the best sentence, the best three and all of the evidence; its numbers and
/// names that are missing, and others in their place; a negation or an opposite on one side only (English); cosines; lengths; and of claims of
/// several sentences the least supported one.

#include <Eigen/Core>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "neural/encoder.h"
#include "specialists/rerank_features.h"

namespace understudy::specialists {

/// At full stops, question and exclamation marks and ends of lines; pieces over 60 words are cut. Pieces without letter or digit are left out; at most
/// 4,000. Views into `text`.
std::vector<std::string_view> sentences_of(std::string_view text);

/// In how many texts each word is, by the words of this file (their endings cut), for rarity.
TermStatistics word_statistics(std::span<const std::string_view> texts);

inline constexpr Eigen::Index kJudgeColumns = 40;

struct JudgeReading {
  Eigen::VectorXd x;     ///< kJudgeColumns, finite
  std::string evidence;  ///< the best sentences, in their order: what a cross-encoder reads
};

/// Thread-safe. @param encoder  null: there is none, and the columns of cosines are 0
/// At most 12 sentences a row go through the encoder, chosen by words. kInternal: the encoder failed.
Result<JudgeReading> read_judged(const TermStatistics& statistics, std::string_view claim, std::string_view evidence, const neural::TextEncoder* encoder);

}  // namespace understudy::specialists
