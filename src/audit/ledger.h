#pragma once
/// What the audit adds up, in one pass: a cube of sums by step, model and period, and a few totals beside it. Every figure
/// of the report is computed from a Ledger afterwards. Each worker fills its own Tally; Ledger joins them.

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "audit/id_set.h"
#include "audit/record.h"
#include "audit/waterfall.h"
#include "base/money.h"
#include "chat/price_book.h"

namespace understudy::audit {

/// Interned strings; index 0 is "". Thread-safe; workers keep their own look-up table in front.
class NameTable {
 public:
  NameTable() { intern(""); }
  std::uint32_t intern(std::string_view name);
  /// Valid as long as the table.
  std::string_view name(std::uint32_t id) const;
  std::size_t size() const;

 private:
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::uint32_t> ids_;
  std::vector<const std::string*> names_;
};

/// A model as the trace names it, with its price.
struct ModelInfo {
  std::string name;                      ///< price-book id, or the trace's own name where unpriced
  std::string raw;                       ///< as the trace spells it
  std::string provider;
  const ModelPrices* prices = nullptr;   ///< nullptr: unpriced
  bool constant = false;                 ///< `fixed` holds for every call of the standard tier
  CallPrices fixed;
  bool frontier = false;
  ModelTier tier = ModelTier::kMid;      ///< meaningful where priced
};

/// Models by (provider, name). Thread-safe; entries never move.
class ModelTable {
 public:
  explicit ModelTable(const PriceBook& book) : book_(book) {}
  std::uint32_t intern(std::string_view provider, std::string_view model);
  const ModelInfo& info(std::uint32_t id) const;
  std::size_t size() const;

 private:
  const PriceBook& book_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::uint32_t> ids_;
  std::vector<std::unique_ptr<ModelInfo>> models_;
};

inline constexpr std::int32_t kNoDay = INT32_MIN;

/// One call, resolved and priced.
struct Row {
  std::uint64_t request = 0;  ///< hash; 0 none
  std::uint64_t call = 0;     ///< hash; 0 none
  std::int32_t attempt = -1;
  std::int32_t day = kNoDay;  ///< since 1970-01-01 UTC
  std::int64_t at_us = 0;     ///< meaningful where `day` is set
  std::uint32_t step = 0;     ///< NameTable
  std::uint32_t model = 0;    ///< ModelTable
  std::uint32_t account = 0, consumer = 0;
  StepSource source = StepSource::kUnattributed;
  CallPath path = CallPath::kUnknown;
  bool failed = false;
  bool cache_hit = false;
  std::int64_t calls = 1;
  std::int64_t queries = 1;
  std::int64_t latency_ms = -1;
  Usage usage;
  std::optional<Picousd> cost;    ///< nullopt: unpriced
  std::optional<Picousd> logged;
  std::uint64_t prompt_hash = 0;  ///< 0 where there is no text
};

struct Sums {
  std::int64_t calls = 0, tok_in = 0, tok_out = 0, cached_in = 0, cache_write_5m = 0, cache_write_1h = 0, reasoning = 0, queries = 0;
  Int128 cost = 0;
  void add(const Row& row);
  void add(const Sums& other);
};

/// Sums of one (step, model, period, path).
struct Cell : Sums {
  std::array<std::int64_t, kStepSources> sources{};
  std::int64_t logged_calls = 0;
  Int128 logged = 0, cost_where_logged = 0;
  void add_cell(const Cell& other);
};

struct CellKey {
  std::uint32_t step = 0, model = 0;
  std::int32_t period = 0;  ///< day, or the Monday of the week; kNoDay where rows have no time
  CallPath path = CallPath::kUnknown;
  friend auto operator<=>(const CellKey&, const CellKey&) = default;
};

/// Spend of requests hashed into groups, per step and week: the clusters that the weekly bootstrap draws.
inline constexpr std::size_t kBootstrapGroups = 64;
using GroupSums = std::array<Int128, kBootstrapGroups>;

struct TokenCount { std::int64_t calls = 0, tok_in = 0, tok_out = 0; };

/// One worker's sums. Not thread-safe.
class Tally {
 public:
  Tally(IdSet& requests, bool by_day) : requests_(requests), by_day_(by_day) {}
  ~Tally() { flush(); }

  /// Adds one call that is no duplicate. `frontier_call`: counts towards the request's frontier calls.
  void add(const Row& row, const ModelInfo& model, bool frontier_call);
  void flush();
  void merge(Tally& other);
  /// Puts steps in the place of template names, with the source that the calls then have.
  void rename_steps(const std::map<std::uint32_t, std::pair<std::uint32_t, StepSource>>& names);

  std::map<CellKey, Cell> cells() const;
  std::map<std::pair<std::uint32_t, std::int32_t>, GroupSums> groups;  ///< by (step, Monday)
  std::map<std::uint32_t, TokenCount> unpriced;                        ///< by model
  std::map<std::uint32_t, Int128> by_account, by_consumer;
  std::array<Int128, 3> cost_by_attempt{};  ///< numbered 0, 1, 2 and above
  bool attempt_zero_seen = false;
  Int128 request_tokens = 0;                ///< in and out of rows with a request id and a cost above zero
  std::int64_t accepted = 0, errors_billed = 0, errors_unbilled = 0, cache_hits = 0, without_time = 0, without_request = 0;
  std::int64_t logged_only = 0;             ///< rows whose model has no price but whose logged cost was used
  std::int32_t first_day = INT32_MAX, last_day = INT32_MIN;
  Waterfall waterfall;

 private:
  Cell& cell(const CellKey& key);

  /// Calls of one request mostly follow each other: they are inserted together.
  void note_request(std::uint64_t request, bool paid, bool frontier);
  void flush_request();

  IdBatch requests_;
  bool by_day_;
  std::uint64_t open_request_ = 0;
  unsigned open_frontier_ = 0;
  bool open_paid_ = false;
  struct Slot {
    CellKey key;
    std::uint32_t cell = UINT32_MAX;
    GroupSums* groups = nullptr;
  };
  std::vector<Slot> slots_;  ///< open addressing over cells_
  std::vector<std::unique_ptr<Cell>> cells_;
  std::vector<CellKey> keys_;
  void grow();
  Slot& slot(const CellKey& key);
};

/// The Monday of a day's ISO week, and "2026-W20".
std::int32_t monday_of(std::int32_t day);
std::string iso_week(std::int32_t day);
std::string iso_date(std::int32_t day);

}  // namespace understudy::audit
