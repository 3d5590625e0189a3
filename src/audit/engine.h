#pragma once
/// Reads traces into a Ledger: workers parse chunks in parallel; what depends on order (duplicates, templates, spans whose
/// parents come later) is committed chunk by chunk in file order, so results do not depend on the number of threads.

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "audit/adapters/adapters.h"
#include "audit/input.h"
#include "audit/ledger.h"
#include "audit/steps.h"
#include "base/error.h"
#include "chat/price_book.h"
#include "templates/miner.h"

namespace understudy::audit {

struct MalformedSample {
  std::string file;
  std::uint64_t line = 0;
  std::string why;
};

/// What was read.
struct InputSummary {
  std::int64_t files = 0;
  std::set<Format> formats;            ///< one is the rule
  std::set<Layout> layouts;
  std::int64_t accepted = 0, malformed = 0, duplicates = 0, not_calls = 0;
  std::vector<MalformedSample> samples;  ///< the first few malformed rows, in file order
  std::int64_t wrapping_spans = 0;     ///< agent and chain spans left out because they repeat their children's usage
  std::int64_t wrapping_alone = 0, wrapping_alone_tok_in = 0, wrapping_alone_tok_out = 0;  ///< of those, without any call below
};

/// One guessed template, for the report and for the file a user can correct.
struct TemplateGuess {
  std::string id, step, reason, sample;
  std::int64_t calls = 0;
  std::vector<std::pair<std::string, double>> scores;  ///< best steps first
};

struct BillSums {
  std::map<std::pair<std::string, std::int32_t>, Int128> by_model_day;  ///< picodollars
  Int128 total = 0;
  std::int64_t lines = 0;
};

enum class CostChoice : std::uint8_t { kBook, kLogged };

struct EngineOptions {
  Format format = Format::kAuto;
  AdapterOptions adapter;
  CostChoice cost = CostChoice::kBook;
  WallTime now;                 ///< prices rows without a time
  bool by_day = false;
  int threads = 0;              ///< 0: all cores
  InputLimits limits;
  std::function<void(std::uint64_t bytes, std::uint64_t total_bytes)> progress;  ///< called now and then by any worker; total 0: unknown
};

/// Everything the figures are computed from.
struct Ledger {
  Ledger(const PriceBook& prices, StepNames step_names);
  const PriceBook& book;
  StepNames step_names;
  NameTable steps, parties;
  ModelTable models;
  IdSet requests;               ///< bits: 0 has a cost, 1-7 frontier calls
  IdSet calls;                  ///< bits: 0-5 attempts seen, 7 counted as a frontier call
  std::unique_ptr<Tally> total;
  InputSummary input;
  BillSums bill;
  std::vector<TemplateGuess> guesses;
  std::map<std::uint64_t, std::map<std::int32_t, std::int64_t>> rescored;  ///< eval prompt hash -> week -> calls
  std::int64_t calls_with_text = 0, eval_calls_with_text = 0;
  bool rescored_overflow = false;
};

/// Where records come from other than files: the gateway's own log. Reads everything into the sink, in order.
class RecordSource {
 public:
  virtual ~RecordSource() = default;
  virtual std::string_view name() const = 0;
  virtual Result<bool> read(RecordSink& sink) = 0;
};

/// kUsage for unreadable, empty or unknown input.
Result<std::unique_ptr<Ledger>> read_traces(const std::vector<std::string>& inputs, const PriceBook& book, const StepNames& names,
                                            const EngineOptions& options);
Result<std::unique_ptr<Ledger>> read_source(RecordSource& source, const PriceBook& book, const StepNames& names,
                                            const EngineOptions& options);
/// The same for one text in memory, for tests and fuzzers.
Result<std::unique_ptr<Ledger>> read_text(std::string text, const PriceBook& book, const StepNames& names, const EngineOptions& options);

/// Reads bills (costs pages, CUR lines, or any trace format with logged costs) into `into.bill`.
Result<bool> read_bill(const std::string& path, const EngineOptions& options, Ledger& into);

}  // namespace understudy::audit
