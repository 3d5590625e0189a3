#include "audit/span_store.h"

namespace understudy::audit {
namespace {
constexpr int kDeepest = 256;  ///< also ends a walk around a cycle of parents
}

bool SpanStore::add(const StoredSpan& span, const Row* row) {
  const auto [it, fresh] = by_id_.try_emplace(span.id, static_cast<std::uint32_t>(spans_.size()));
  if (!fresh) {
    // A node known only by name so far (TensorZero's inference before its model call) may gain what it lacked.
    StoredSpan& known = spans_[it->second];
    if (known.row >= 0 || row == nullptr) {
      if (known.name == 0) known.name = span.name;
      if (known.parent == 0) known.parent = span.parent;
      return row == nullptr;
    }
    known.ticket = span.ticket;
    known.row = static_cast<std::int32_t>(rows_.size());
    rows_.push_back(*row);
    return true;
  }
  spans_.push_back(span);
  if (row != nullptr) {
    spans_.back().row = static_cast<std::int32_t>(rows_.size());
    rows_.push_back(*row);
  }
  return true;
}

/// The nearest span, itself included, whose name is a known step; where there is none, the nearest whose name is not generic
/// (itself only where its format names calls).
const StoredSpan* SpanStore::labelling(const StoredSpan& span, const StepNames& names) const {
  const StoredSpan* nearest = nullptr;
  const StoredSpan* at = &span;
  for (int depth = 0; depth < kDeepest; ++depth) {
    const std::string_view name = labels_.name(at->name);
    if (!name.empty()) {
      if (names.is_known(name)) return at;
      if (nearest == nullptr && (at != &span || span.own_name) && !is_generic_name(name)) nearest = at;
    }
    if (at->parent == 0) break;
    const auto it = by_id_.find(at->parent);
    if (it == by_id_.end()) break;
    at = &spans_[it->second];
  }
  return nearest;
}

SpanStore::Left SpanStore::finish(const StepNames& names, const std::function<void(const Resolved&)>& visit) {
  for (const StoredSpan& span : spans_) {
    if (span.row < 0) continue;
    std::uint64_t parent = span.parent;
    for (int depth = 0; parent != 0 && depth < kDeepest; ++depth) {
      const auto it = by_id_.find(parent);
      if (it == by_id_.end() || &spans_[it->second] == &span) break;
      StoredSpan& above = spans_[it->second];
      // Someone marked the rest of the way already, unless it was this cycle's start.
      if (above.call_below) break;
      above.call_below = true;
      parent = above.parent;
    }
  }
  Left left;
  for (const StoredSpan& span : spans_) {
    if (span.row < 0) continue;
    const Row& row = rows_[static_cast<std::size_t>(span.row)];
    if (span.call_below || span.wraps) {
      ++left.wrapping;
      if (!span.call_below) {
        ++left.alone;
        left.alone_in += row.usage.input;
        left.alone_out += row.usage.output;
      }
      continue;
    }
    Resolved resolved;
    resolved.row = row;
    resolved.source = row.source;
    resolved.ticket = span.ticket;
    if (row.request == 0) {
      const StoredSpan* at = &span;
      for (int depth = 0; depth < kDeepest && resolved.row.request == 0; ++depth) {
        resolved.row.request = at->request;
        const auto it = by_id_.find(at->parent);
        if (at->parent == 0 || it == by_id_.end()) break;
        at = &spans_[it->second];
      }
    }
    if (row.source == StepSource::kUnattributed) {
      if (const StoredSpan* label = labelling(span, names)) {
        resolved.label = labels_.name(label->name);
        resolved.source = label->name_source;
      }
    }
    visit(resolved);
  }
  return left;
}

}  // namespace understudy::audit
