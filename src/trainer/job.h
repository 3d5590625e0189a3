#pragma once
/// What `understudy-trainer` is asked to do: one JSON object in a file (docs/formats/trainer-job.md), and the rows it learns from: pairs of texts
/// with how well they belong together, or texts with their label.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "neural/pair_head.h"

namespace understudy::trainer {

/// With z the score and t the target of a row:
enum class Loss : std::uint8_t {
  kPointwise,  ///< binary cross-entropy of z and t, row by row; t in [0, 1]
  kMargin,     ///< of each two rows of a group: (ti - tj) log(1 + exp(zj - zi)) where ti > tj
  kListwise,   ///< cross-entropy of softmax(z) over a group's rows and t / sum t
  kLabels,     ///< cross-entropy of softmax(z) over the labels that rows have, and the row's; z of its `first` alone: an encoder comes of it
};
std::string_view loss_name(Loss loss);  ///< "pointwise", "margin", "listwise", "labels"

/// Paths are as the process sees them. The defaults are those of recipes that worked; nothing was tuned on test rows.
struct Job {
  std::string encoder;    ///< folder of the model to start from (an encoder, or a pair scorer to go on with)
  std::string rows;       ///< JSON Lines, see PairRow
  std::string held_back;  ///< rows that decide when to stop and which step is kept; empty: all epochs run, and the last step is kept
  Loss loss = Loss::kListwise;
  neural::PairHeadKind head = neural::PairHeadKind::kHybrid;  ///< of an encoder that has none; a pair scorer keeps its own
  std::uint64_t seed = 1;
  std::size_t epochs = 3;
  std::size_t max_tokens = 96;  ///< of a pair, or of a text with a label
  double learning_rate = 5e-5;
  double head_factor = 10;      ///< the head learns so many times as fast
  double warm_up = 0.1;         ///< share of the steps in which the rate rises; it falls to 0 after that
  double weight_decay = 0.01;   ///< of matrices
  double clip = 1;              ///< greatest length of a step's gradient
  double dropout = 0.1;
  std::size_t groups_per_step = 4;        ///< margin and listwise
  std::size_t positives = 3, negatives = 7;  ///< of a group in one step, drawn anew in each epoch
  std::size_t rows_per_step = 32;         ///< pointwise and labels
  std::size_t evaluations_per_epoch = 2;  ///< on held_back
  std::size_t patience = 3;               ///< evaluations without a better one after which it stops
  std::size_t checkpoint_steps = 50;      ///< between two checkpoints
  int threads = 1;                        ///< results are the same for the same number

  std::string to_json() const;
};

/// kConfig: not an object, an unknown key, a value out of its range, encoder or rows missing. @param name  what errors call it
Result<Job> parse_job(std::string_view json, std::string_view name);

/// One line: {"group": "q1", "first": "who ...", "second": "It was ...", "target": 1, "weight": 1}
struct PairRow {
  std::string group;          ///< rows that are compared with each other; empty where there is none
  std::string first, second;  ///< query and document, claim and evidence
  double target = 0;          ///< how well they belong together, >= 0
  double weight = 1;          ///< how much the row counts, (0, 1e6]
  std::string label{};        ///< with Loss::kLabels: of `first`; `second` is empty then
};
void append_pair_row(std::string& out, const PairRow& row);

/// All lines, empty ones passed over. kInvalidRequest with file and line: not UTF-8, no object, "first", "second" or "label" no text, a target or
/// weight out of range. @param with_targets  a row without label must have a target; else a missing one is 0
Result<std::vector<PairRow>> parse_pair_rows(std::string_view text, std::string_view file, bool with_targets = true);

}  // namespace understudy::trainer
