#pragma once
/// Asks a real upstream about rows, several in one call and several calls at once, within a budget; what is paid for is kept (label_file.h).
///
/// A row that a reply gives no usable answer for is asked once more, by itself. 429s, 5xx, time-outs and lost connections are tried again, after longer
/// and longer pauses or as long as the upstream says. What would be refused again (key, model, budget of the account) ends the work at once.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "base/budget.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/money.h"
#include "chat/usage.h"
#include "labelling/label_file.h"
#include "labelling/plan.h"
#include "labelling/question.h"
#include "net/client.h"
#include "providers/model.h"
#include "providers/provider.h"

namespace understudy::labelling {

/// How far it is.
struct AskProgress {
  std::size_t done = 0, rows = 0;        ///< of this run: with a verdict or without hope of one
  Picousd spent;                         ///< in the file, earlier runs included
  std::optional<Picousd> budget;
  std::optional<double> seconds_left;    ///< nullopt: nothing to tell by yet
};

using ProviderMaker = std::function<Result<std::unique_ptr<providers::Provider>>(net::ClientPool&, const providers::ModelConfig&)>;

/// Money that a call needs from budgets of others (base/budget.h), who may forbid it. On the thread that asks.
class Payer {
 public:
  virtual ~Payer() = default;
  /// @param most  that the call can cost; nullopt: not known. kBudgetExceeded: there is no money for it, and the work ends as kBudget; other errors end it as they are
  virtual Result<BudgetHold> reserve(std::optional<Picousd> most) = 0;
  virtual void settle(const BudgetHold& hold, Picousd cost) = 0;   ///< not called where nobody knows the cost
};

struct AskOptions {
  std::size_t rows_a_call = 10;
  std::size_t calls_at_once = 4;
  std::optional<Picousd> budget;         ///< for all calls of the file, earlier runs included. What a call costs at most is set aside before it is made
  bool ask_again = false;                ///< also rows that an earlier run got no usable answer for
  int most_tries = 5;                    ///< of one call
  std::int64_t first_pause_ms = 500;     ///< doubles with each try
  std::int64_t longest_pause_ms = 60'000;
  std::size_t most_failures = 8;         ///< calls in a row that failed with all their tries: the upstream is given up
  std::int64_t call_timeout_ms = 120'000;
  const Clock* clock = nullptr;          ///< null: system_clock()
  std::uint64_t seed = 0;                ///< of pauses; 0: from the kernel
  std::function<void(const AskProgress&)> progress;
  std::stop_token stop;                  ///< no more calls; those under way are waited for, so that what is paid is kept
  bool leave_calls = false;              ///< then they are given up instead, and what was set aside for them counts as spent
  Payer* payer = nullptr;                ///< of further budgets, beside `budget`; null: none
  ProviderMaker make_provider;           ///< empty: providers::make_provider
};

enum class AskEnd : std::uint8_t {
  kDone,     ///< all rows have a verdict or none to be had
  kBudget,   ///< the next call could pass a budget
  kStopped,  ///< `stop` was asked for
};

struct FailedRow {
  std::string id, why;
};

struct AskReport {
  AskEnd end = AskEnd::kDone;
  std::size_t labelled = 0;   ///< in this run
  std::size_t stored = 0;     ///< were there already
  std::size_t failed = 0;     ///< asked twice, no usable answer; in this run or an earlier one
  std::size_t left = 0;       ///< not asked
  std::size_t calls = 0;      ///< in this run, tries included
  std::size_t tries_again = 0;
  std::vector<FailedRow> examples;   ///< of `failed`, the first few
};

/// Asks about the rows at `places` that have no verdict in `file` yet. Blocks; runs a reactor on the calling thread.
/// @param price  of a call; where it says nullopt for what a call uses at most, a budget cannot be held: kUsage
/// kUpstreamStatus, kUpstreamUnreachable, kUpstreamTimeout, kUpstreamProtocol, with the upstream's words: it was given up; kIo: the file
/// cannot be written; kConfig: the model's URL. What was labelled before is in the file in any case.
Result<AskReport> ask_teacher(const Question& question, std::span<const Row> rows, std::span<const std::size_t> places, const providers::ModelConfig& teacher, const PriceOf& price,
                              LabelFile& file, const AskOptions& options);

/// The calls that ask_teacher would make, each with the places of its rows.
std::vector<std::vector<std::size_t>> calls_to_make(const Question& question, std::span<const Row> rows, std::span<const std::size_t> places, std::string_view model, const LabelFile& file,
                                                    const AskOptions& options);

}  // namespace understudy::labelling
