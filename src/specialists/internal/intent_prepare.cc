#include "specialists/internal/intent_prepare.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <unordered_map>

#include "base/random.h"
#include "specialists/internal/kernels.h"

namespace understudy::specialists::internal {

namespace {

std::string folded(std::string_view label) {
  const auto first = label.find_first_not_of(" \t\r\n"), last = label.find_last_not_of(" \t\r\n");
  std::string out(first == std::string_view::npos ? "" : label.substr(first, last - first + 1));
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return out;
}

Unexpected refuse(const std::string& file, const std::string& what) { return fail(ErrorKind::kInvalidRequest, fmt::format("{}: {}", file, what)); }

using LinesOfLabels = std::map<std::string, std::size_t>;

/// Labels with the line of their first row.
Result<LinesOfLabels> labels_of(const IntentRows& rows, bool several, std::vector<const IntentRow*>& kept) {
  LinesOfLabels names;
  const auto add = [&](const std::string& label, std::size_t line) -> Result<void> {
    if (label.size() > IntentModel::kLongestLabel) return refuse(rows.file, fmt::format("line {}: the label has {} bytes; it must be a short name", line, label.size()));
    names.try_emplace(label, line);
    return {};
  };
  for (const IntentRow& row : rows.rows) {
    if (row.oos) continue;
    if (several ? !row.has_labels : row.label.empty()) {
      return refuse(rows.file, several ? fmt::format("line {} has no \"labels\" and others do: a specialist of which several labels may hold needs them in each row", row.line)
                                       : fmt::format("line {} has \"labels\" and no \"label\", and others have one: give each row its \"label\", or take \"labels\" with --multi-label", row.line));
    }
    Result<void> added;
    if (!several) added = add(row.label, row.line);
    for (std::size_t i = 0; several && added && i < row.labels.size(); ++i) added = add(row.labels[i].first, row.line);
    if (!added) return fail(added.error());
    kept.push_back(&row);
  }
  if (kept.size() < kFewestTrainingRows) return refuse(rows.file, fmt::format("{} rows to train on; at least {} are needed, better 10 for each label", kept.size(), kFewestTrainingRows));
  if (names.empty()) return refuse(rows.file, "no row holds a label");
  if (names.size() < 2 && !several) return refuse(rows.file, fmt::format("all {} rows have the label \"{}\": rows of at least two labels are needed", kept.size(), names.begin()->first));
  if (names.size() > IntentModel::kMostLabels) {
    return refuse(rows.file, fmt::format("{} different labels; at most {} are taken. Is \"label\" a free text? Closed answers are needed", names.size(), IntentModel::kMostLabels));
  }
  return names;
}

Result<void> refuse_similar(const std::string& file, const LinesOfLabels& names) {
  std::map<std::string, std::string> seen;
  for (const auto& [name, line] : names) {
    const auto [other, fresh] = seen.try_emplace(folded(name), name);
    if (fresh) continue;
    return refuse(file, fmt::format("the labels \"{}\" (line {}) and \"{}\" (line {}) differ by case or spaces only: write them alike, or pass --similar-labels if they are two",
                                    other->second, names.at(other->second), name, line));
  }
  return {};
}

using LabelIndex = std::unordered_map<std::string_view, std::uint32_t>;

LabelIndex index_of(std::span<const std::string> labels) {
  LabelIndex index;
  for (std::uint32_t i = 0; i < labels.size(); ++i) index.emplace(labels[i], i);
  return index;
}

/// One row of targets; false and `strange` where a label is not known.
bool append_targets(const IntentRow& row, const LabelIndex& index, std::size_t stride, std::vector<float>& out, std::string& strange) {
  const std::size_t begin = out.size();
  out.resize(begin + stride, row.labels_complete ? 0.0f : kUnknown);
  for (const auto& [name, holds] : row.labels) {
    const auto known = index.find(name);
    if (known == index.end()) {
      strange = name;
      return false;
    }
    out[begin + known->second] = holds;
  }
  return true;
}

void shuffle(std::vector<const IntentRow*>& rows, Random& random) {
  for (std::size_t i = rows.size(); i > 1; --i) std::swap(rows[i - 1], rows[static_cast<std::size_t>(random.below(i))]);
}

/// Every fifth row is a random fifth of each label: with few rows a label, a fold drawn from all rows may leave one hardly any.
void deal_by_label(std::vector<const IntentRow*>& rows, Random& random) {
  std::ranges::stable_sort(rows, {}, &IntentRow::label);
  std::vector<std::vector<const IntentRow*>> folds(IntentHead::kFolds);
  for (std::size_t i = 0; i < rows.size(); ++i) folds[i % folds.size()].push_back(rows[i]);
  for (auto& fold : folds) shuffle(fold, random);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = folds[i % folds.size()][i / folds.size()];
}

}  // namespace

Result<IntentMaterial> prepare(const IntentRows& rows, const IntentTraining& training, std::vector<const IntentRow*>& kept) {
  const bool any_label = std::ranges::any_of(rows.rows, [](const IntentRow& r) { return !r.label.empty(); });
  const bool any_labels = std::ranges::any_of(rows.rows, [](const IntentRow& r) { return r.has_labels; });
  IntentMaterial out;
  out.several = training.several || (any_labels && !any_label);
  const auto names = labels_of(rows, out.several, kept);
  if (!names) return fail(names.error());
  if (!training.similar_labels) {
    if (auto different = refuse_similar(rows.file, *names); !different) return fail(different.error());
  }
  for (const auto& [name, line] : *names) out.labels.push_back(name);
  const LabelIndex index = index_of(out.labels);
  SeededRandom random(training.seed);
  shuffle(kept, random);
  if (!out.several) deal_by_label(kept, random);
  const std::size_t stride = padded(out.labels.size());
  std::string strange;
  out.rows = kept.size();
  for (const IntentRow* row : kept) {
    out.texts.push_back(row->text);
    out.weights.push_back(row->weight);
    if (out.several) {
      append_targets(*row, index, stride, out.targets, strange);
    } else {
      out.label.push_back(index.at(row->label));
    }
  }
  for (std::uint32_t c = 0; c < out.labels.size(); ++c) {
    const std::string name = name_as_text(out.labels[c]);
    if (name.empty()) continue;
    out.texts.push_back(name);
    out.weights.push_back(1);
    if (out.several) {
      out.targets.resize(out.targets.size() + stride, kUnknown);
      out.targets[out.targets.size() - stride + c] = 1;
    } else {
      out.label.push_back(c);
    }
  }
  return out;
}

Result<UnseenRows> unseen_of(const std::string& file, std::span<const IntentRow> rows, std::span<const std::string> labels, bool several) {
  UnseenRows out;
  out.labels = labels.size();
  out.several = several;
  const LabelIndex index = index_of(labels);
  for (const IntentRow& row : rows) {
    if (row.oos) continue;
    std::string strange = row.label;
    bool known = false;
    if (several) {
      if (!row.has_labels) return refuse(file, fmt::format("line {} has no \"labels\"", row.line));
      known = append_targets(row, index, labels.size(), out.targets, strange);
    } else if (const auto at = index.find(row.label); at != index.end()) {
      known = true;
      out.label.push_back(at->second);
    }
    if (!known) return refuse(file, fmt::format("line {}: the label \"{}\" is not among the {} that were trained", row.line, strange, labels.size()));
    out.weights.push_back(row.weight);
  }
  if (out.rows() == 0) return refuse(file, "no row to calibrate on");
  return out;
}

}  // namespace understudy::specialists::internal
