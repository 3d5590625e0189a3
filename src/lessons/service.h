#pragma once
/// Lessons, live: takes what the cascade offers, stores it, asks the teacher about it, and keeps the book of what students may be shown.
/// One thread with a reactor of its own; no request ever waits for it.
///
///   reactor: offer(...)                         a short lock
///   thread:  offer -> redact -> store (answer-only, usable at once) -> book
///            most valuable first, within the day's money: ask the teacher -> store again, now with reasoning and examples
///
/// What is stored is stored before the teacher is asked, and the money is set aside in the same event: a process that dies in between
/// leaves an answer-only lesson, counts that money as spent, and asks again after its restart.
///
/// A lesson is active where its answer is the teacher's own or the teacher agrees with it; a correction that the teacher does not agree
/// with stays a candidate and is never shown. Answer-only it stays where the budget is 0, the price or the key is not known, or the
/// teacher's reply cannot be read after one repair. 429s, errors and time-outs make the thread pause, longer each time, and go on later.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/budget.h"
#include "base/clock.h"
#include "base/redact.h"
#include "calibration/compare.h"
#include "chat/usage.h"
#include "lessons/lesson_book.h"
#include "lessons/offer.h"
#include "net/client.h"
#include "providers/provider.h"
#include "store/journal.h"
#include "store/store.h"

namespace understudy::lessons {

/// What the configuration says of one cascade.
struct CascadePlan {
  std::string name;
  providers::ModelConfig teacher;
  std::optional<Picousd> budget_per_day;   ///< nullopt and 0: lessons are answer-only. One ledger: what all cascades spent counts
  /// What a call to `teacher` with a request of so many bytes costs at most; nullopt: not known. Thread-safe. Empty: its price by `price`
  std::function<std::optional<Picousd>(std::size_t, WallTime)> most;
  std::function<std::optional<Picousd>(const Usage&, WallTime)> price;   ///< of a call to `teacher`; nullopt: not known. Thread-safe
};

struct LessonPlan {
  std::vector<CascadePlan> cascades;
  std::map<std::string, calibration::ComparatorSpec> compare;   ///< by task, where one is configured
  Redactor redact;
};

using ProviderMaker = std::function<Result<std::unique_ptr<providers::Provider>>(net::ClientPool&, const providers::ModelConfig&)>;

struct LessonServiceOptions {
  store::Journal* journal = nullptr;     ///< the service's own; null: nothing is kept (tests)
  BudgetLedger* budgets = nullptr;       ///< of the gateway; beside `budget_per_day`. Null: none. Must outlive the service
  std::filesystem::path data;            ///< to load lessons from; "": none
  const Clock* clock = nullptr;          ///< nullptr: system_clock()
  std::uint64_t seed = 0;                ///< of pauses; 0: from the kernel
  net::ClientOptions client;
  OfferQueue::Limits queue;
  std::size_t most_usable = 100'000;     ///< lessons in the book
  std::size_t most_to_teach = 1'000;     ///< lessons that wait for the teacher; the least valuable stays answer-only beyond that
  std::int64_t tick_ms = 100;            ///< how soon an offer is looked at
  std::int64_t prompts_ms = 60'000;      ///< how often the store is asked which prompts are in use
  std::int64_t gone_ms = 600'000;        ///< how often the book is compared with the store, which lets old lessons go
  std::int64_t first_pause_ms = 1'000;   ///< after a refusal or failure; doubles up to ...
  std::int64_t longest_pause_ms = 600'000;
  int most_tries = 8;                    ///< calls that failed, of one lesson; then it stays answer-only
  std::int64_t call_timeout_ms = 120'000;
  ProviderMaker make_provider;           ///< empty: providers::make_provider
};

/// A user's judgement with the right answer in it.
struct Correction {
  std::string request_id;
  std::string tenant;      ///< of who says so: another tenant's request is not touched
  std::string truth;       ///< label or corrected answer
};

/// For status, /metrics and the admin API; counts since the start, but for what the store knows.
struct LessonReport {
  std::uint64_t queued = 0;            ///< offers that nobody has looked at yet
  std::uint64_t waiting = 0;           ///< stored, the teacher is still to be asked
  std::uint64_t usable = 0;            ///< in the book
  std::uint64_t stored = 0;
  std::uint64_t repeated = 0;          ///< the input has a lesson already
  std::uint64_t unfit = 0;             ///< no text, or too long
  std::uint64_t dropped_queue = 0;     ///< the queue was full
  std::uint64_t dropped_store = 0;     ///< the journal was full
  std::uint64_t taught = 0;
  std::uint64_t answer_only = 0;       ///< it was decided that the teacher is not asked, or its reply was no use
  std::uint64_t repaired = 0;          ///< replies that could be read at the second try
  std::uint64_t calls = 0;             ///< to teachers
  std::uint64_t failed_calls = 0;
  std::uint64_t retired = 0;
  std::uint64_t corrections = 0;       ///< that became lessons or changed one
  std::uint64_t unreadable = 0;        ///< stored lessons that cannot be read
  bool budget_spent = false;           ///< today's money keeps lessons waiting
  bool paused = false;                 ///< teachers that fail or refuse keep lessons waiting
  Picousd spent_today;
  std::map<std::string, Picousd> budgets;   ///< by cascade
};

class LessonService final : public LessonSink {
 public:
  /// Loads what the store has, then starts the thread. kIo where the kernel gives no reactor; a store that cannot be read is logged and
  /// taken as empty.
  static Result<std::unique_ptr<LessonService>> start(LessonServiceOptions options, LessonPlan plan);
  /// Stores what was offered, gives up a call that runs, stops.
  ~LessonService() override;

  /// Puts another configuration in force for what comes next. kConfig where a teacher's provider cannot be made: the old one stays.
  /// Blocks until done: not from a reactor.
  Result<void> configure(LessonPlan plan);

  bool offer(LessonOffer offer) override;
  /// Never blocks on disk. Dropped, and counted, where very many wait.
  void correct(Correction correction);
  /// Takes a lesson out of use for good. kNotFound: no such lesson, or not of this tenant (nullopt: the operator); kOverloaded: it could
  /// not be written down. Blocks.
  Result<void> retire(std::string id, std::optional<std::string> tenant, std::string why);

  /// Lives as long as the service.
  const LessonBook& book() const;
  LessonReport report() const;
  /// Handles what is offered now, and asks teachers until nothing can be asked without waiting; for tests.
  void settle();

 private:
  struct Impl;
  explicit LessonService(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Takes a lesson out of use where no gateway runs: `store` is open for writing, and journal 0 is the caller's. Blocks. kNotFound, kCorrupt,
/// kOverloaded.
Result<void> retire_stored(store::Store& store, const std::string& id, const std::string& why);

}  // namespace understudy::lessons
