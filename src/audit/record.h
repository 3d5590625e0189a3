#pragma once
/// The one record into which every trace format is read (docs/formats/call-record.md). Adapters fill it, one call at a
/// time, with views into their own input; nothing in it outlives the sink's call.

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/clock.h"
#include "base/money.h"
#include "chat/usage.h"
#include "templates/sketch.h"

namespace understudy::audit {

/// Which rule gave a call its step, strongest first. The report counts each.
enum class StepSource : std::uint8_t { kExplicit, kPromptName, kSpanKind, kAncestor, kInferred, kUnattributed };
inline constexpr std::size_t kStepSources = 6;
inline constexpr std::string_view kStepSourceNames[kStepSources] = {"explicit", "prompt_name", "span_kind",
                                                                     "ancestor", "inferred",    "unattributed"};

enum class CallPath : std::uint8_t { kUnknown, kOnline, kOffline };

/// One upstream call (one attempt). "" and nullopt mean that the format did not say.
struct CallRecord {
  std::optional<WallTime> at;      ///< start of the call
  std::string_view request_id;     ///< the user-visible request it belongs to
  std::string_view call_id;        ///< with `attempt`: the identity by which duplicates are found
  std::int32_t attempt = -1;       ///< -1 unknown; the smallest number of a trace is the first attempt
  std::string_view step;
  StepSource step_source = StepSource::kUnattributed;
  std::string_view model;
  std::string_view provider;
  std::string_view service_tier;
  Usage usage;                     ///< input includes cached and written tokens, output includes reasoning
  std::int64_t calls = 1;          ///< calls this row stands for; above 1 only in billing pages
  std::int64_t queries = 1;        ///< what per-query prices count
  std::int64_t web_searches = 0;
  std::int64_t context_tokens = -1; ///< input size that long-context prices look at; -1: usage.input (a page's row sums many calls)
  bool failed = false;
  bool cache_hit = false;          ///< answered by a gateway's cache: costs nothing
  std::int64_t latency_ms = -1;
  CallPath path = CallPath::kUnknown;
  std::optional<Picousd> cost_logged;
  std::string_view account;        ///< provider key, team or account
  std::string_view consumer;       ///< who downstream asked
  std::span<const templates::PromptPart> prompt;
  std::string_view answer;
};

/// One line of a bill: what a provider says it charged.
struct BillLine {
  std::optional<WallTime> at;
  std::string_view model;          ///< "" where the bill does not say
  std::string_view account;
  Picousd amount;
};

/// A span of a trace. Tree formats hand over every span, also those without usage: names of ancestors label calls.
struct SpanRecord {
  std::string_view trace_id, span_id, parent_id;  ///< span ids need be unique only within their trace
  std::string_view name;           ///< what a label may be taken from: agent name, prompt name or span name
  StepSource name_source = StepSource::kAncestor;  ///< what a label taken from this span's name counts as
  bool own_name = false;           ///< the name may label the span's own call even where it is no known step
  std::string_view request_id;     ///< for calls below that carry none
  bool wraps = false;              ///< agent, chain, workflow: repeats its children's usage
  bool has_call = false;
  CallRecord call;                 ///< meaningful where has_call
};

class RecordSink {
 public:
  virtual ~RecordSink() = default;
  virtual void call(const CallRecord& record) = 0;
  virtual void span(const SpanRecord& record) = 0;
  virtual void bill(const BillLine& line) = 0;
  /// The record at hand is skipped and counted; `why` names the field.
  virtual void malformed(std::string_view why) = 0;
  /// The record at hand is no model call by design (a database row of another kind, a tool span): counted, not an error.
  virtual void not_a_call() = 0;
  /// True once nothing more is wanted: a source that can stop does.
  virtual bool full() const { return false; }
};

}  // namespace understudy::audit
