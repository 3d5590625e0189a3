#pragma once
/// Everything the reports say, computed from a Ledger. Shares are kept as exact fractions; each report rounds when it prints.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "audit/engine.h"
#include "base/error.h"

namespace understudy::audit {

enum class Band : std::uint8_t { kUnknown, kHealthy, kSuspect, kConfirmed };
std::string_view band_name(Band band);

/// An exact share; unknown where the denominator is 0.
struct Share {
  Int128 part = 0, whole = 0;
  bool known() const { return whole > 0; }
  /// Eight decimals, half to even; "" where unknown.
  std::string text() const;
  double value() const { return known() ? static_cast<double>(part) / static_cast<double>(whole) : 0; }
  /// Sign of the share minus percent/100.
  int compare_percent(std::int64_t percent) const;
};
/// Edges belong to suspect. `low_is_healthy`: below `low` % healthy, above `high` % confirmed; else the other way round.
Band band_of(const Share& share, std::int64_t low, std::int64_t high, bool low_is_healthy);

/// What a step would cost elsewhere.
struct Target {
  enum Kind : std::uint8_t { kKeep, kModel, kTokens, kQuery, kHour } kind = kKeep;
  const ModelPrices* model = nullptr;
  std::int64_t in = 0, out = 0;        ///< kTokens: picodollars per token
  std::int64_t per_query = 0;          ///< kQuery: picodollars
  std::int64_t per_hour = 0;           ///< kHour: picodollars
  double requests_per_s = 0;           ///< kHour
  std::string text;                    ///< for the report
};
using TargetMap = std::map<std::string, Target>;
/// Reads a --specialize file. kUsage naming the step at fault.
Result<TargetMap> parse_targets(std::string_view json, std::string_view name, const PriceBook& book);

struct StepFigure {
  std::string step;
  StepKind kind = StepKind::kUnknown;
  Sums sums;
  std::array<std::int64_t, kStepSources> sources{};
  Int128 counterfactual = 0;
  Int128 on_specialist = 0;            ///< of the cost, what runs on a specialist or embedding tier already
  Int128 offline = 0;
  bool candidate = false;
  std::string target;                  ///< "keep" or what it maps to
  Int128 saved() const { return sums.cost - counterfactual; }
};

struct ModelFigure {
  std::string model;
  std::optional<ModelTier> tier;       ///< nullopt: unpriced
  Sums sums;
  std::int64_t logged_calls = 0;
  Int128 logged = 0, cost_where_logged = 0;
};

struct WeekFigure {
  std::int32_t monday = 0;
  std::string week;
  std::int64_t calls = 0;
  Int128 total = 0, eligible = 0, open = 0, unattributed = 0;
  Band band = Band::kUnknown;
  bool partial = false;                ///< holds `now`: raises no alarm
  bool thin = false;                   ///< fewer than min_calls: raises no alarm
  std::optional<double> low, high;     ///< 95 % bootstrap interval of the fraction, by request
  Share fraction() const { return {eligible, total}; }
  Share upper() const { return {eligible + unattributed, total}; }
  Share generate() const { return {open, total}; }
};

struct Alarm {
  std::string week;
  std::string threshold;               ///< "0.2", "0.3", "0.5"
  bool up = false;
};

struct Rung { std::string step; Int128 saved = 0, total_after = 0; };

struct Sister {
  std::string key, title;
  std::optional<bool> fired;           ///< nullopt: the data is missing
  std::string message;
};

struct WaterfallFigure {
  std::int64_t requests = 0;           ///< sampled requests with times
  double mean_serial_frontier = 0;
  std::int64_t p95_serial_frontier = 0;
  std::map<std::string, double> latency_share;  ///< of the sampled requests' summed latency
  double resent_share = 0;             ///< input of a request's later calls that its largest earlier call could hold
  bool has_resent = false;
};

struct Projection {
  std::int64_t users = 0, requests_per_user = 0;
  double escalation = 0, lessons = 0;
  std::optional<Int128> now, specialised, cascade;  ///< picodollars; nullopt without request ids
  std::string student;
};

struct ReconcileLine { std::string model; std::int32_t day = kNoDay; Int128 bill = 0, trace = 0; };
struct Reconcile {
  Int128 bill = 0, trace = 0;
  std::vector<ReconcileLine> lines;    ///< largest gap first
  Share coverage() const { return {trace, bill}; }
};

struct FigureOptions {
  TargetMap targets;
  WallTime now;
  std::int64_t min_calls = 200;
  std::int64_t users = 0, requests_per_user = 0;
  double escalation = 0.3, lessons = 0.5;
  bool reconcile = false;
};

struct Report {
  InputSummary input;
  std::string format;
  bool only_bills = false;             ///< billing pages: they know no steps, so only Test 1 and the reconciliation speak
  std::vector<BookInfo> books;
  CostChoice cost = CostChoice::kBook;
  std::int64_t calls = 0, requests = 0, paid_requests = 0;
  std::int64_t without_time = 0, without_request = 0, cache_hits = 0;
  Int128 total = 0, open = 0, unattributed = 0, unknown_kind = 0, on_specialist_eligible = 0, offline = 0, online = 0;
  TokenCount unpriced;
  std::vector<std::pair<std::string, TokenCount>> unpriced_models;
  Share unpriced_tokens;
  std::int64_t errors_billed = 0, errors_unbilled = 0;
  Int128 retry_spend = 0;
  std::string first_day, last_day;
  std::vector<StepFigure> steps;       ///< dearest first
  std::vector<ModelFigure> models;
  std::array<std::int64_t, kStepSources> sources{};
  std::string concentration_model;
  Share concentration, rerank_share, faithfulness_share, generate_share;
  Band concentration_band = Band::kUnknown, eligible_band = Band::kUnknown, frontier_band = Band::kUnknown,
       check_band = Band::kUnknown, generate_band = Band::kUnknown, tokens_band = Band::kUnknown;
  Share frontier_calls, tokens_per_request;
  std::int64_t frontier_p50 = 0, frontier_p95 = 0;
  Int128 counterfactual = 0;
  std::vector<Rung> ladder;
  std::vector<WeekFigure> weeks;
  std::vector<Alarm> alarms;
  std::optional<double> trend_per_quarter;
  std::string verdict;                 ///< healthy, suspect, confirmed, unknown
  std::vector<std::string> missing;    ///< what data was missing, a sentence each
  std::vector<Sister> sisters;
  WaterfallFigure waterfall;
  std::optional<Projection> projection;
  std::optional<Reconcile> reconcile;
  std::vector<std::pair<std::string, Int128>> accounts, consumers;  ///< dearest first
  std::vector<TemplateGuess> guesses;

  Int128 stepped() const { return only_bills ? 0 : total; }  ///< what shares of steps are taken of
  Share eligible() const { return {total - open - unattributed, stepped()}; }
  Share eligible_upper() const { return {total - open, stepped()}; }
  Share eligible_lower() const { return {total - open - unattributed - unknown_kind, stepped()}; }
  Share addressable() const { return {total - open - unattributed - on_specialist_eligible, stepped()}; }
  bool too_much_unpriced() const { return unpriced_tokens.compare_percent(1) > 0; }
};

Report compute_figures(const Ledger& ledger, const FigureOptions& options, CostChoice cost);

/// Parts of compute_figures, in files of their own.
void compute_weeks(const Ledger& ledger, const FigureOptions& options, Report& report);
void compute_waterfall(const Ledger& ledger, Report& report);
void compute_sisters(const Ledger& ledger, Report& report);
Int128 target_cost(const Target& target, const Sums& sums);

}  // namespace understudy::audit
