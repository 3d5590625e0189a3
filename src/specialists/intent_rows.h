#pragma once
/// Labelled texts for specialists with closed answers, from JSON Lines: `id, text, label` (or `labels`), and `split`, `weight`, `oos`.

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace understudy::specialists {

/// A longer text is refused: what lies behind 64 KB of it would not be read.
inline constexpr std::size_t kLongestText = 256 * 1024;

struct IntentRow {
  std::string id;    ///< the row's, else "line N"
  std::string text;
  std::string label;                                    ///< empty: none was given
  std::vector<std::pair<std::string, float>> labels;  ///< of `labels`: 1 it holds, 0 it does not; what an object leaves out is unknown
  bool has_labels = false, labels_complete = false;     ///< labels_complete: a list, so that what is not in it does not hold
  float weight = 1;                                      ///< how much the row counts, (0, 1e6]
  bool oos = false;                                      ///< out of scope: none of the labels
  std::size_t line = 0;                                  ///< from 1
};

struct IntentRows {
  std::string file;
  std::vector<IntentRow> rows;
};

struct RowChoice {
  std::optional<std::string> split;  ///< rows with this `split`. nullopt: all rows
  std::string only;                  ///< rows on which this key is true; empty: all
  bool labelled = true;              ///< rows without label (and not `oos`) are refused: what trains or judges needs one
};

/// One line. kInvalidRequest, without place: not an object; no text, or one that is empty, too long or not UTF-8; a label that is no
/// text, number or boolean; a weight outside (0, 1e6].
Result<IntentRow> parse_intent_row(std::string_view line);

/// All lines; empty ones are passed over. kInvalidRequest, with file and line: as above; an id twice; no row of the split, with the splits
/// that there are; no row at all; no label where they must be labelled.
Result<IntentRows> parse_intent_rows(std::string_view text, const std::string& file, const RowChoice& choice);

/// Whether any row has a `split`, and how many rows each split has: for defaults. Lines that are broken are passed over.
std::map<std::string, std::size_t> splits_of(std::string_view text);

}  // namespace understudy::specialists
