#pragma once
/// One worker of the engine: turns records into priced rows. Rows that depend on nothing else are added to the worker's own
/// tally at once; the others are deferred to the commit of their chunk.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "audit/engine.h"
#include "audit/ledger.h"
#include "audit/span_store.h"
#include "templates/sketch.h"

namespace understudy::audit {

/// A row or span that must be handled in file order.
struct Deferred {
  Row row;
  bool is_span = false;
  StoredSpan span;
  bool has_row = true;
  bool has_text = false;
  templates::PromptSketch sketch;
  std::string answer;         ///< kept only where the step must be inferred
};

struct DeferredBill { std::string model; std::int32_t day = kNoDay; Int128 amount = 0; };

struct MalformedRow { std::uint32_t line = 0; std::string why; };

/// What one chunk leaves for the commit.
struct ChunkResult {
  std::uint32_t file = 0;
  std::uint32_t lines = 0;
  std::int64_t malformed = 0, not_calls = 0, rows = 0;
  std::vector<MalformedRow> samples;  ///< the first few
  std::vector<Deferred> deferred;
  std::vector<DeferredBill> bills;
};

/// A small open-addressing table from strings to ids, in front of a shared one.
class LocalNames {
 public:
  template <typename Intern>
  std::uint32_t find(std::string_view name, std::string_view second, Intern&& intern);

 private:
  struct Slot {
    std::uint64_t hash = 0;
    std::uint32_t id = 0;
    std::string name;
    std::string second;
  };
  std::vector<Slot> slots_;
  std::size_t used_ = 0;
};

class Worker final : public RecordSink {
 public:
  Worker(Ledger& ledger, const EngineOptions& options);

  /// Reads all records of a chunk.
  void read(const Chunk& chunk, Format format, Layout layout, const std::vector<std::string>& csv_columns, ChunkResult& result);
  /// For records that come from elsewhere (the gateway's log).
  void begin(ChunkResult& result) { result_ = &result; }

  void call(const CallRecord& record) override;
  void span(const SpanRecord& record) override;
  void bill(const BillLine& line) override;
  void malformed(std::string_view why) override;
  void not_a_call() override { ++result_->not_calls; }

  Tally& tally() { return tally_; }
  Scratch& scratch() { return scratch_; }

 private:
  void read_lines(const Chunk& chunk, Format format);
  void read_documents(const Chunk& chunk, Format format, const std::vector<std::string>* csv_columns);
  void document(const char* text, std::size_t size, Format format);
  void resolve(const CallRecord& record, Row& row);
  void take_text(const CallRecord& record, Deferred& to);
  const ModelInfo& model(std::uint32_t id);
  std::uint32_t step_id(std::string_view label, StepSource source);

  Ledger& ledger_;
  const EngineOptions& options_;
  Tally tally_;
  Row row_;
  Scratch scratch_;
  dom::parser parser_;
  LocalNames local_steps_, local_models_, local_parties_;
  std::vector<const ModelInfo*> model_cache_;
  ChunkResult* result_ = nullptr;
  std::uint32_t line_ = 0;
  std::string csv_json_;
};

}  // namespace understudy::audit
