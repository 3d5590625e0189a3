#include <fmt/format.h>

#include "base/money.h"
#include "gateway/internal/exposition.h"
#include "gateway/internal/shared.h"

namespace understudy::gateway::internal {
namespace {

using cascade::Counters;

template <typename Member>
auto sum(const Shared& shared, Member member) {
  std::uint64_t total = 0;
  for (const auto& counters : shared.counters) total += (counters.get()->*member).load(std::memory_order_relaxed);
  return total;
}

/// `millionths` as a plain decimal: "0.00025", not the nearest double's digits.
std::string decimal(std::int64_t millionths) {
  std::string text = format_ratio(millionths, 1'000'000, 6);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

std::string usd(const Shared& shared, std::atomic<std::int64_t> Counters::*member) {
  std::int64_t total = 0;
  for (const auto& counters : shared.counters) total += (counters.get()->*member).load(std::memory_order_relaxed);
  return format_usd(Int128{total} * 1000, 9);
}

void histogram(Exposition& out, const Shared& shared, std::string_view name, std::string_view help, cascade::Histogram Counters::*member) {
  out.head(name, "histogram", help);
  std::uint64_t cumulative = 0;
  std::int64_t sum_us = 0;
  for (std::size_t i = 0; i <= cascade::kLatencyBucketsUs.size(); ++i) {
    for (const auto& counters : shared.counters) cumulative += (counters.get()->*member).buckets[i].load(std::memory_order_relaxed);
    const std::string bound = i < cascade::kLatencyBucketsUs.size() ? decimal(static_cast<std::int64_t>(cascade::kLatencyBucketsUs[i])) : "+Inf";
    out.value(fmt::format("{}_bucket", name), fmt::format("le=\"{}\"", bound), cumulative);
  }
  for (const auto& counters : shared.counters) sum_us += static_cast<std::int64_t>((counters.get()->*member).sum_us.load(std::memory_order_relaxed));
  out.value(fmt::format("{}_sum", name), "", decimal(sum_us));
  out.value(fmt::format("{}_count", name), "", cumulative);
}

void per_stage(Exposition& out, const Shared& shared, std::string_view name, std::string_view help,
               std::array<std::atomic<std::uint64_t>, kStageCount> Counters::*member) {
  out.head(name, "counter", help);
  for (std::size_t stage = 0; stage < kStageCount; ++stage) {
    std::uint64_t total = 0;
    for (const auto& counters : shared.counters) total += (counters.get()->*member)[stage].load(std::memory_order_relaxed);
    out.value(name, fmt::format("stage=\"{}\"", kStageNames[stage]), total);
  }
}

void breakers(Exposition& out, const Shared& shared) {
  std::shared_ptr<const cascade::Policy> policy;
  {
    const std::lock_guard lock(shared.mutex);
    policy = shared.snapshot.policy;
  }
  const auto each = [&](std::string_view name, auto value) {
    for (const auto& model : policy->models) out.value(name, fmt::format("model=\"{}\"", model.config.name), value(model.config.state->breaker));
  };
  out.head("circuit_open", "gauge", "Whether a model is asked: 0 yes, 0.5 trials only, 1 not at all.");
  const MonoTime now = shared.options.server.clock->mono();
  each("circuit_open", [now](const providers::Breaker& breaker) {
    const providers::BreakerState state = breaker.state(now);
    return state == providers::BreakerState::kClosed ? 0.0 : state == providers::BreakerState::kHalfOpen ? 0.5 : 1.0;
  });
  out.head("circuit_opened_total", "counter", "Times that a model was taken out of use after failures, since the last reload.");
  each("circuit_opened_total", [](const providers::Breaker& breaker) { return breaker.opened(); });
  out.head("circuit_refused_total", "counter", "Calls that were not made because of that.");
  each("circuit_refused_total", [](const providers::Breaker& breaker) { return breaker.refused(); });
}

/// What the promises say of each task. A figure that is not known has no sample.
void promises(Exposition& out, const Shared& shared) {
  if (!shared.promise_figures) return;
  const auto reports = shared.promise_figures->reports();
  const auto each = [&](std::string_view name, std::string_view help, auto&& value_of) {
    out.head(name, "gauge", help);
    for (const cascade::TaskReport& r : *reports) value_of(r, label("cascade", r.cascade) + "," + label("task", r.task));
  };
  each("promise_state", "1 for the state that a task's promise is in: warming, proven, never or by_hand.", [&](const cascade::TaskReport& r, const std::string& of) {
    const std::string_view now = r.by_hand ? "by_hand" : calibration::promise_state_name(r.promise.state);
    for (const std::string_view state : {"warming", "proven", "never", "by_hand"}) out.value("promise_state", of + "," + label("state", state), state == now ? 1 : 0);
  });
  each("promise_pinned", "1 where the task is pinned to the teacher.", [&](const cascade::TaskReport& r, const std::string& of) { out.value("promise_pinned", of, r.pinned ? 1 : 0); });
  each("promise_coin", "Probability that a request is spot-checked.", [&](const cascade::TaskReport& r, const std::string& of) {
    out.value("promise_coin", of, r.by_hand ? r.options.spot_check : r.promise.coin);
  });
  each("promise_rows", "Labelled rows held, by what they are for.", [&](const cascade::TaskReport& r, const std::string& of) {
    if (r.by_hand) return;
    out.value("promise_rows", of + "," + label("use", "fit"), r.promise.fit_rows);
    out.value("promise_rows", of + "," + label("use", "test"), r.promise.test_rows);
  });
  each("promise_upper_bound", "Upper bound of the disagreement of what cheap stages serve, of the version in force.", [&](const cascade::TaskReport& r, const std::string& of) {
    if (r.policy) out.value("promise_upper_bound", of, r.policy->upper_bound);
  });
  each("promise_labels_needed", "Labels until a first version can be proven, as far as it can be foreseen.", [&](const cascade::TaskReport& r, const std::string& of) {
    if (r.by_hand) return;
    if (r.policy) {
      out.value("promise_labels_needed", of, 0);
    } else if (r.promise.labels_needed) {
      out.value("promise_labels_needed", of, *r.promise.labels_needed);
    }
  });
  out.head("promise_rows_lost_total", "counter", "Labelled rows that could not be kept.");
  for (const cascade::TaskReport& r : *reports) out.value("promise_rows_lost_total", label("cascade", r.cascade) + "," + label("task", r.task), r.rows_lost);
  out.head("alarms_total", "counter", "Alarms, by name.");
  for (const auto& [name, n] : shared.promise_figures->alarms()) out.value("alarms_total", label("name", name), n);
  if (!shared.rechecks) return;
  std::uint64_t drifts = 0;
  for (const monitors::RecheckReport& r : shared.rechecks->report()) drifts += r.alarms;
  out.value("alarms_total", label("name", "distillation_drift"), drifts);
}

void lesson_figures(Exposition& out, const Shared& shared) {
  if (!shared.lessons) return;
  const lessons::LessonReport r = shared.lessons->report();
  out.gauge("lessons_usable", "Lessons that may be shown to students.", r.usable);
  out.gauge("lessons_queued", "Offered lessons that nobody has looked at yet.", r.queued);
  out.gauge("lessons_waiting", "Stored lessons that the teacher is still to be asked about.", r.waiting);
  out.counter("lessons_stored_total", "Lessons made.", r.stored);
  out.counter("lessons_taught_total", "Lessons that the teacher has explained.", r.taught);
  out.counter("lessons_answer_only_total", "Lessons that stay without an explanation.", r.answer_only);
  out.counter("lessons_retired_total", "Lessons taken out of use.", r.retired);
  out.head("lessons_dropped_total", "counter", "Offered lessons that were not kept, by reason.");
  for (const auto& [reason, n] : {std::pair{"queue_full", r.dropped_queue}, {"store_full", r.dropped_store}, {"unfit", r.unfit}, {"repeated", r.repeated}}) {
    out.value("lessons_dropped_total", label("reason", reason), n);
  }
  out.counter("lesson_calls_total", "Calls to teachers about lessons.", r.calls);
  out.counter("lesson_calls_failed_total", "Of these, how many failed or were refused.", r.failed_calls);
  out.gauge("lesson_spent_today_usd", "Set aside or spent on lessons since midnight UTC.", format_usd(r.spent_today, 12));
  out.head("lesson_budget_usd", "gauge", "lesson_budget_usd_per_day, by cascade.");
  for (const auto& [cascade, budget] : r.budgets) out.value("lesson_budget_usd", label("cascade", cascade), format_usd(budget, 12));
}

void encoder_figures(Exposition& out, const Shared& shared) {
  if (shared.options.encoder == nullptr) return;
  const neural::EncoderPoolCounts counts = shared.options.encoder->counts();
  out.counter("encoder_batches_total", "Batches that the sentence encoder began.", counts.batches);
  out.counter("encoder_texts_total", "Texts that it gave a vector.", counts.texts);
  out.counter("encoder_failed_total", "Texts that got none because its runtime failed.", counts.failed);
  out.counter("encoder_turned_away_total", "Texts that got none because too many waited.", counts.turned_away);
  out.head("encoder_waiting", "gauge", "Texts that wait for it now, by lane.");
  out.value("encoder_waiting", label("lane", "request"), counts.waiting);
  out.value("encoder_waiting", label("lane", "bulk"), counts.waiting_bulk);
  out.counter("encoder_wait_seconds_total", "Time that all texts waited for their batch.", decimal(counts.waited_ns / 1000));
}

void score_figures(Exposition& out, const Shared& shared) {
  const PairCounters& counters = shared.pair_counters;
  out.counter("rerank_requests_total", "Requests to /v1/rerank that were answered.", counters.reranks.load(std::memory_order_relaxed));
  out.counter("rerank_documents_total", "Documents in them.", counters.documents.load(std::memory_order_relaxed));
  out.counter("score_requests_total", "Requests to /v1/score that were answered.", counters.scores.load(std::memory_order_relaxed));
  out.counter("score_pairs_total", "Pairs of texts, responses and comparisons in them.", counters.pairs.load(std::memory_order_relaxed));
  const specialists::ScorePoolCounts pool = shared.scores.counts();
  out.gauge("score_waiting", "Requests that wait for a thread that asks rerankers and judges.", pool.waiting);
  out.counter("score_turned_away_total", "Requests refused because too many waited.", pool.turned_away);
  out.counter("score_wait_seconds_total", "Time that all requests waited for a thread.", decimal(pool.waited_ns / 1000));
  out.counter("score_work_seconds_total", "Time that they were worked on.", decimal(pool.worked_ns / 1000));
  const specialists::ScoreCacheCounts cache = shared.scores.kept();
  out.counter("score_cache_hits_total", "Vectors, scores of pairs and texts read token by token that were there already.", cache.hits);
  out.counter("score_cache_misses_total", "Those that had to be computed.", cache.misses);
  out.gauge("score_cache_bytes", "Held of vectors, scores of pairs and texts.", cache.bytes);
  out.gauge("score_cache_entries", "Entries in it.", cache.entries);
}

void budgets(Exposition& out, const Shared& shared) {
  const auto reports = shared.budgets.report(shared.options.server.clock->wall());
  if (reports.empty()) return;
  const auto each = [&](std::string_view name, std::string_view type, std::string_view help, auto&& value_of) {
    out.head(name, type, help);
    for (const BudgetReport& r : reports) value_of(r, label("scope", budget_scope_name(r.budget.scope)) + "," + label("name", r.budget.name));
  };
  const auto usd = [](Int128 amount) { return format_usd(amount, 12); };
  each("budget_usd", "gauge", "Hard limit of what may be spent, by period.", [&](const BudgetReport& r, const std::string& of) {
    if (r.budget.per_day) out.value("budget_usd", of + "," + label("period", "day"), usd(r.budget.per_day->value));
    if (r.budget.per_month) out.value("budget_usd", of + "," + label("period", "month"), usd(r.budget.per_month->value));
  });
  each("budget_spent_usd", "gauge", "Spent or set aside in the period that runs.", [&](const BudgetReport& r, const std::string& of) {
    if (r.budget.per_day) out.value("budget_spent_usd", of + "," + label("period", "day"), usd(r.spent_day.value));
    if (r.budget.per_month) out.value("budget_spent_usd", of + "," + label("period", "month"), usd(r.spent_month.value));
  });
  each("budget_refused_total", "counter", "Calls that a budget forbade.", [&](const BudgetReport& r, const std::string& of) { out.value("budget_refused_total", of, r.refused); });
}

void rate_limits(Exposition& out, const Shared& shared) {
  std::shared_ptr<const KeyRing> keys;
  {
    const std::lock_guard lock(shared.mutex);
    keys = shared.snapshot.keys;
  }
  out.head("rate_limited_total", "counter", "Requests refused because a limit of their key (requests or tokens) was reached, by key.");
  for (const ApiKey& key : keys->keys()) {
    const std::uint64_t refused = (key.requests ? key.requests->refused() : 0) + (key.tokens ? key.tokens->refused() : 0);
    if (key.requests || key.tokens) out.value("rate_limited_total", label("key", key.name), refused);
  }
}

}  // namespace

std::string metrics_text(const Shared& shared) {
  Exposition out;
  out.head("build_info", "gauge", "Version of the program.");
  out.value("build_info", fmt::format("version=\"{}\"", shared.options.version), 1);
  out.counter("requests_total", "Chat completions received.", sum(shared, &Counters::requests));
  out.counter("requests_failed_total", "Requests answered with an error.", sum(shared, &Counters::failed));
  out.counter("requests_escalated_total", "Requests that went past the student to the teacher.", sum(shared, &Counters::escalated));
  out.counter("requests_streamed_total", "Requests answered as event streams.", sum(shared, &Counters::streamed));
  out.counter("early_rejects_total", "Students' answers left before their end, for they could no longer be served.", sum(shared, &Counters::early_rejects));
  out.counter("hedges_total", "Teachers asked beside the students.", sum(shared, &Counters::hedges));
  out.counter("hedges_lost_total", "Of these, not needed.", sum(shared, &Counters::hedges_lost));
  out.counter("clients_gone_total", "Clients that left before their answer was sent.", sum(shared, &Counters::clients_gone));
  per_stage(out, shared, "served_total", "Requests served, by stage.", &Counters::served);
  per_stage(out, shared, "attempts_total", "Upstream calls, by stage.", &Counters::attempts);
  per_stage(out, shared, "attempt_errors_total", "Upstream calls that failed, by stage.", &Counters::attempt_errors);
  out.counter("coins_total", "Requests picked for a spot check.", sum(shared, &Counters::coins));
  out.counter("labels_total", "Cheap answers compared with the teacher's, off the path.", sum(shared, &Counters::labels));
  out.counter("labels_agree_total", "Of these, how many agreed.", sum(shared, &Counters::labels_agree));
  out.counter("labels_skipped_total", "Spot checks not made because the label budget or the limit on calls off the path forbade it, or a judge did not answer.",
              sum(shared, &Counters::labels_skipped));
  out.counter("judge_unreadable_total", "Replies of a judge that compares answers which were neither yes nor no, taken for a no.", sum(shared, &Counters::judge_unreadable));
  out.counter("cost_usd_total", "Spent on requests, calls off the path excluded; requests of unknown cost are not in it.", usd(shared, &Counters::cost_nanousd));
  out.counter("cost_unknown_total", "Requests whose cost is not known (no price or no usage).", sum(shared, &Counters::cost_unknown));
  out.gauge("saved_usd", "Saved against sending everything to the teacher, estimates included.", usd(shared, &Counters::saved_nanousd));
  out.gauge("label_spent_today_usd", "Set aside or spent on labels since midnight UTC.", format_usd(shared.label_budget.spent_today(), 12));
  lesson_figures(out, shared);
  encoder_figures(out, shared);
  score_figures(out, shared);
  breakers(out, shared);
  rate_limits(out, shared);
  budgets(out, shared);

  promises(out, shared);
  if (shared.rechecks) recheck_figures(out, shared.rechecks->report());
  histogram(out, shared, "request_seconds", "From the whole request to its record.", &Counters::latency);
  histogram(out, shared, "overhead_seconds", "Our own part of that time.", &Counters::overhead);
  out.gauge("cache_bytes", "Held by the answer cache.", shared.cache.bytes());
  out.gauge("cache_entries", "Answers in the cache.", shared.cache.entries());
  if (const net::Server* server = shared.server.load(std::memory_order_acquire)) {
    const net::ServerStats stats = server->stats();
    out.gauge("connections", "Open client connections.", stats.connections);
    out.gauge("requests_in_flight", "Requests in handlers.", stats.in_flight);
    out.counter("bad_requests_total", "Requests that were not HTTP, too large or too slow.", stats.bad_requests);
    out.counter("tls_handshakes_failed_total", "Connections that ended before their TLS handshake did.", stats.failed_handshakes);
    out.counter("refused_requests_total", "Requests refused because of a limit or a drain.", stats.refused_requests);
  }
  if (shared.store != nullptr) {
    const store::StoreStats stats = shared.store->stats();
    out.counter("events_appended_total", "Events written to the journal.", stats.events_appended);
    out.counter("events_stored_total", "Events moved to SQLite.", stats.events_stored);
    out.counter("records_dropped_total", "Events lost because the journal was full. Should be 0.", stats.records_dropped);
    out.gauge("journal_backlog_bytes", "In the journal, not yet in SQLite.", stats.backlog_bytes);
    out.counter("store_write_failures_total", "Batches that SQLite refused; they are tried again.", stats.write_failures);
    out.counter("store_sync_failures_total", "Syncs of the journal that failed (durability = group). Should be 0.", stats.sync_failures);
  }
  return out.take();
}

}  // namespace understudy::gateway::internal
