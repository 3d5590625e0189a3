#pragma once
/// The fast plain reader held against the slow one, for its test and its fuzzer.

#include <fmt/format.h>

#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "audit/adapters/adapters.h"
#include "audit/plain_fast.h"

namespace understudy::audit {

/// What a reader makes of a line, as text.
class SeenAsText final : public RecordSink {
 public:
  std::string seen;
  void call(const CallRecord& r) override {
    seen = fmt::format("{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}", r.at ? r.at->us : -1, r.request_id, r.call_id, r.attempt, r.step,
                       static_cast<int>(r.step_source), r.model, r.provider, r.service_tier, r.usage.input, r.usage.cached_input, r.usage.cache_write_5m,
                       r.usage.output, r.usage.reasoning, r.failed, r.latency_ms, r.cost_logged ? r.cost_logged->value : -1, r.account, r.consumer);
  }
  void span(const SpanRecord&) override {}
  void bill(const BillLine&) override {}
  void malformed(std::string_view why) override { seen = "malformed: " + std::string(why); }
  void not_a_call() override {}
};

struct PlainVerdict {
  bool taken = false;        ///< by the fast reader
  std::string disagreement;  ///< "" where all readers agree on what was taken
};

/// `line` holds no newline; `reused` is a record that earlier lines may have filled.
inline PlainVerdict compare_plain_readers(std::string_view line, CallRecord& reused) {
  // On the heap at its exact size, so that a sanitizer sees a step too far; what follows a line is another one.
  constexpr std::size_t kPadding = 128;
  const std::unique_ptr<char[]> text(new char[line.size() + kPadding]);
  std::memcpy(text.get(), line.data(), line.size());
  std::memset(text.get() + line.size(), '}', kPadding);
  text[line.size()] = '\n';
  const char* const end = text.get() + line.size();
  CallRecord portable;
  PlainVerdict verdict;
  verdict.taken = scan_plain(text.get(), end, reused);
  if (verdict.taken != scan_plain_portable(text.get(), end, portable)) {
    verdict.disagreement = "one build of the fast reader takes it, the other does not";
    return verdict;
  }
  if (!verdict.taken) return verdict;
  SeenAsText fast, other, slow;
  fast.call(reused);
  other.call(portable);
  Scratch scratch;
  dom::parser parser;
  dom::element root;
  slow.seen = "malformed: not JSON";
  if (parser.parse(line.data(), line.size()).get(root) == simdjson::SUCCESS) read_plain(root, {}, scratch, slow);
  if (fast.seen != slow.seen) verdict.disagreement = fmt::format("fast: {}\nslow: {}", fast.seen, slow.seen);
  if (fast.seen != other.seen) verdict.disagreement = fmt::format("fast: {}\nportable: {}", fast.seen, other.seen);
  return verdict;
}

}  // namespace understudy::audit
