#pragma once
/// A span of any container (OTLP/JSON, the Python SDK's console exporter, Phoenix rows) with its attributes by name.

#include <string_view>
#include <utility>
#include <vector>

#include "audit/adapters/adapters.h"

namespace understudy::audit {

class Attributes {
 public:
  void clear() { list_.clear(); }
  void add(std::string_view key, dom::element value) { list_.emplace_back(key, value); }
  /// From an OTLP list of {key, value: {stringValue: ...}} or from an object, nested or flat.
  void read(dom::element attributes, Scratch& scratch);

  const dom::element* find(std::string_view key) const;
  const dom::element* first(std::initializer_list<std::string_view> keys) const;
  std::string_view text(std::initializer_list<std::string_view> keys) const;
  /// As Fields::count.
  std::optional<std::int64_t> count(std::initializer_list<std::string_view> keys, std::string& error) const;
  bool any_with_prefix(std::string_view prefix) const;
  const std::vector<std::pair<std::string_view, dom::element>>& all() const { return list_; }

 private:
  void flatten(std::string_view prefix, dom::object object, Scratch& scratch, int depth);
  std::vector<std::pair<std::string_view, dom::element>> list_;
};

struct SpanView {
  std::string_view trace_id, span_id, parent_id, name;
  std::optional<WallTime> start, end;
  bool failed = false;
  Attributes attributes;
  std::optional<dom::element> events;
  std::string error;
};

/// Hands the span to the sink by the conventions its attributes follow (OpenInference's kind, else gen_ai.*).
void emit_span(SpanView& span, const AdapterOptions& options, Scratch& scratch, RecordSink& sink);
void emit_openinference(SpanView& span, const AdapterOptions& options, Scratch& scratch, RecordSink& sink);
void emit_genai(SpanView& span, const AdapterOptions& options, Scratch& scratch, RecordSink& sink);

/// Spans of one document of any container.
void read_spans(dom::element document, const AdapterOptions& options, Scratch& scratch, RecordSink& sink);

/// Cached and written tokens beside an input that may or may not include them: where they exceed it, or where told, they
/// are added.
void settle_cached(Usage& usage, std::optional<bool> inside);

/// The best name for a label among candidates: a known step, else the first that says something, else the first.
std::string_view best_name(std::initializer_list<std::string_view> names);

/// Duration in ms, or -1.
std::int64_t latency_of(const SpanView& span);

}  // namespace understudy::audit
