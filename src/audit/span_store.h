#pragma once
/// Spans of tree formats, kept until the input ends: parents may come after children, in other files, and twice.

#include <cstdint>
#include <functional>
#include <unordered_map>
#include <vector>

#include "audit/ledger.h"
#include "audit/steps.h"
#include "templates/miner.h"

namespace understudy::audit {

/// A span as the commit keeps it: about 60 bytes, and a Row where it is a call.
struct StoredSpan {
  std::uint64_t id = 0, parent = 0;   ///< hashes with the trace; parent 0: none
  std::uint32_t name = 0;             ///< NameTable of labels; 0 none
  std::int32_t row = -1;              ///< index into rows
  templates::Miner::Ticket ticket = templates::Miner::kNone;
  std::uint64_t request = 0;
  StepSource name_source = StepSource::kAncestor;
  bool own_name = false;
  bool wraps = false;
  bool call_below = false;            ///< a span below it carries usage
};

class SpanStore {
 public:
  explicit SpanStore(NameTable& labels) : labels_(labels) {}

  /// `row` is empty for spans without usage. Returns false where the span was there already (a duplicate delivery).
  bool add(const StoredSpan& span, const Row* row);

  struct Resolved {
    Row row;
    StepSource source = StepSource::kUnattributed;
    std::string_view label;            ///< label of the ancestor that gives the step; "" where none does
    templates::Miner::Ticket ticket = templates::Miner::kNone;
  };
  struct Left { std::int64_t wrapping = 0, alone = 0, alone_in = 0, alone_out = 0; };

  /// Visits every leaf call, in order of arrival. Spans that wrap calls are left out and counted.
  Left finish(const StepNames& names, const std::function<void(const Resolved&)>& visit);
  bool empty() const { return spans_.empty(); }

 private:
  /// The span whose name labels `span`, or nullptr.
  const StoredSpan* labelling(const StoredSpan& span, const StepNames& names) const;

  NameTable& labels_;
  std::vector<StoredSpan> spans_;
  std::vector<Row> rows_;
  std::unordered_map<std::uint64_t, std::uint32_t> by_id_;
};

}  // namespace understudy::audit
