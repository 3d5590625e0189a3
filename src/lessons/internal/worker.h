#pragma once
/// What the lessons' thread does. Everything here is used on that thread only, but for what says otherwise.

#include <condition_variable>
#include <future>
#include <mutex>
#include <set>
#include <unordered_map>

#include "base/daily_budget.h"
#include "base/ids.h"
#include "base/random.h"
#include "lessons/service.h"
#include "net/reactor.h"
#include "net/timer.h"
#include "store/purse.h"
#include "store/queries.h"

namespace understudy::lessons::internal {

/// 64 bits from the kernel a draw: for what nobody may guess.
class KernelRandom final : public Random {
 public:
  std::uint64_t next() override { return entropy64(); }
};

class Worker {
 public:
  Worker(LessonServiceOptions options, net::Reactor& reactor);

  /// Before the thread runs: what the store has.
  void load();
  /// The thread's whole life. `ready` is told whether the first plan could be put in force.
  net::Awaitable<void> run(LessonPlan plan, std::promise<Result<void>>* ready);
  void stop() { stop_.cancel(); }

  Result<void> configure(LessonPlan plan);
  Result<void> retire(const std::string& id, const std::optional<std::string>& tenant, const std::string& why);
  void settle(std::promise<void> done) { settlers_.push_back(std::move(done)); }

  // From any thread.
  bool offer(LessonOffer offer);
  void correct(Correction correction);
  LessonReport report();
  const LessonBook& book() const { return book_; }

 private:
  /// How a teacher fares that was asked.
  struct Pause {
    MonoTime until;
    std::int64_t ms = 0;
  };
  /// One call to a teacher.
  struct Reply {
    std::optional<Error> error;
    int status = 0;
    std::optional<std::int64_t> retry_after_ms;
    std::string text;          ///< of the answer
    Picousd cost;
    bool refused() const { return error || status != 200; }
  };
  struct Unsaved {
    Lesson lesson;
    Picousd spent;
  };

  // worker.cc: lessons come and go
  net::Awaitable<void> take_in_forever();
  void take_in();
  void accept(const LessonOffer& offer, double value);
  /// Stored, in the book where it may be, among those to teach where it is to be. False: it could not be written down.
  bool keep(Lesson lesson);
  void to_teach(Lesson lesson);
  bool put(const Lesson& lesson, Picousd spent = {});
  void put_or_try_later(const Lesson& lesson, Picousd spent);
  std::string why_not_taught(const Lesson& lesson) const;
  const CascadePlan* plan_of(const Lesson& lesson) const;
  Result<Lesson> find(const std::string& id);
  void set_retired(Lesson lesson, std::string why);

  // corrections.cc
  void take_corrections();
  void correct_one(store::StoreReader& reader, const Correction& correction);
  void look_at_prompts();
  /// Lessons that the store has let go (too old, deleted) are not shown any more either.
  void let_go();

  // teacher.cc: the teacher is asked
  net::Awaitable<void> teach_forever();
  std::optional<std::string> choose();
  net::Awaitable<void> teach(std::string id);
  /// The application's own, redacted, as far as a request of that prompt still has its text.
  std::string instructions_for(const Lesson& lesson);
  net::Awaitable<void> verify(std::string id);
  /// Within the budget, with the money set aside in the store before. nullopt: no money, or it cannot be written down.
  net::Awaitable<std::optional<Reply>> ask(std::string id, const CascadePlan* plan, std::string body);
  void pause(const CascadePlan& plan, const std::string& id, const Reply& reply);
  void finish(const std::string& id, Teaching teaching, std::string note, Picousd spent = {});

  template <typename Member>
  void count(Member member, std::uint64_t n = 1) {
    const std::lock_guard lock(report_mutex_);
    report_.*member += n;
  }

  LessonServiceOptions options_;
  net::Reactor& reactor_;
  const Clock& clock_;
  SeededRandom random_;
  KernelRandom secret_;
  RequestIdMaker ids_;
  OfferQueue queue_;       ///< any thread
  LessonBook book_;        ///< any thread
  DailyBudget budget_;     ///< any thread
  std::optional<store::Purse> purse_;

  net::CancelSource stop_;
  std::unique_ptr<net::ClientPool> pool_;
  LessonPlan plan_;
  std::map<std::string, std::shared_ptr<providers::Provider>> providers_;   ///< by cascade
  std::map<std::string, Pause> pauses_;                                     ///< by cascade
  std::map<std::string, std::int64_t> no_money_on_;                         ///< by cascade: the day
  std::set<std::string> no_schema_;                                         ///< models that refuse response_format
  std::map<std::string, Lesson> waiting_;                                   ///< for the teacher, by id
  std::map<std::string, int> tries_;
  std::unordered_map<std::uint64_t, std::string> known_inputs_;             ///< scope and input -> lesson
  std::unordered_map<std::string, std::string> corrected_;                  ///< request -> lesson from feedback
  std::map<std::pair<std::string, std::uint64_t>, std::string> instructions_;   ///< tenant and prompt_hash -> as they were sent
  std::vector<Unsaved> unsaved_;
  std::vector<std::promise<void>> settlers_;
  MonoTime next_prompts_, next_gone_;
  std::set<std::string> missing_;   ///< shown lessons that the store did not have at the last look

  std::mutex corrections_mutex_;
  std::vector<Correction> corrections_;   ///< guarded
  std::mutex report_mutex_;
  LessonReport report_;                   ///< guarded
};

/// Writes the lesson's newest state. False: the journal is full.
bool append_lesson(store::Journal& journal, const Lesson& lesson, Picousd spent);

/// One lesson an input of a scope.
std::uint64_t input_key(const LessonScope& scope, std::uint64_t input_hash);

}  // namespace understudy::lessons::internal
