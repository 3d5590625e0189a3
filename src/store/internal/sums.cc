#include "store/internal/sums.h"

#include <algorithm>
#include <string>

#include "base/hash.h"
#include "store/internal/schema.h"
#include "store/internal/try.h"

namespace understudy::store {
namespace {

/// "x_usd = x_usd + ... carry, x_pico = ..." for an upsert.
std::string add_money(const std::string& x) {
  return x + "_usd = " + x + "_usd + excluded." + x + "_usd + (" + x + "_pico + excluded." + x + "_pico) / 1000000000000, " + x +
         "_pico = (" + x + "_pico + excluded." + x + "_pico) % 1000000000000";
}

std::string add_plain(std::initializer_list<const char*> columns) {
  std::string sql;
  for (const std::string column : columns) sql += ", " + column + " = " + column + " + excluded." + column;
  return sql;
}

/// A provider may send any number; no count of tokens beyond this may spoil the sums.
constexpr std::int64_t sane(std::int64_t tokens) { return std::clamp<std::int64_t>(tokens, 0, 1'000'000'000'000); }

}  // namespace

MoneyParts MoneyParts::of(Int128 picousd) {
  Int128 usd = picousd / kPicousdPerUsd;
  Int128 pico = picousd % kPicousdPerUsd;
  if (pico < 0) {
    pico += kPicousdPerUsd;
    --usd;
  }
  return {static_cast<std::int64_t>(usd), static_cast<std::int64_t>(pico)};
}

std::size_t Sums::Hash::operator()(const Key& key) const {
  return hash64({reinterpret_cast<const char*>(&key), sizeof key});
}

Result<Sums> Sums::create(Database& db) {
  Sums sums;
  STORE_TRY_ASSIGN(sums.request_upsert_,
                   db.prepare("INSERT INTO request_sums VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19) "
                              "ON CONFLICT DO UPDATE SET " +
                              add_money("cost") + ", " + add_money("teacher") + ", " + add_money("saved") +
                              add_plain({"requests", "escalated", "coins", "client_gone", "cost_unknown", "teacher_unknown",
                                         "teacher_estimated", "saved_n", "latency_us", "overhead_us"})));
  STORE_TRY_ASSIGN(sums.attempt_upsert_,
                   db.prepare("INSERT INTO attempt_sums VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20) "
                              "ON CONFLICT DO UPDATE SET " +
                              add_money("cost") +
                              add_plain({"calls", "errors", "off_path", "cost_unknown", "input", "cached_input", "cache_write_5m",
                                         "cache_write_1h", "output", "reasoning", "usage_unknown", "usage_estimated", "latency_us"})));
  STORE_TRY_ASSIGN(sums.label_upsert_, db.prepare("INSERT INTO label_sums VALUES(?1,?2,?3,?4,?5,?6) ON CONFLICT DO UPDATE SET "
                                                  "n = n + excluded.n, agree = agree + excluded.agree"));
  STORE_TRY_ASSIGN(sums.spend_upsert_, db.prepare("INSERT INTO spend VALUES(?1,?2,?3,?4,?5,?6) ON CONFLICT DO UPDATE SET "
                                                  "usd = usd + excluded.usd + (pico + excluded.pico) / 1000000000000, "
                                                  "pico = (pico + excluded.pico) % 1000000000000"));
  return sums;
}

void Sums::add(const RequestFacts& f) {
  RequestSum& sum = requests_[{hour_of(f.time_us), f.task, f.served_by, 0, 0}];
  if (f.cost) {
    sum.cost += f.cost->value;
  } else {
    ++sum.cost_unknown;
  }
  if (!f.counted) return;
  if (f.agrees) {
    const bool of_served = f.served_by >= 0 && f.served_by != static_cast<std::int64_t>(Stage::kTeacher);
    add_label(f.time_us, f.task, f.label_source, of_served, *f.agrees);
  }
  ++sum.requests;
  sum.escalated += f.escalated;
  sum.coins += f.coin;
  sum.client_gone += f.client_gone;
  if (f.teacher_cost) {
    sum.teacher += f.teacher_cost->value;
    sum.teacher_estimated += f.teacher_estimated;
  } else {
    ++sum.teacher_unknown;
  }
  if (f.cost && f.teacher_cost) {
    sum.saved += Int128{f.teacher_cost->value} - f.cost->value;
    ++sum.saved_n;
  }
  sum.latency_us += f.latency_us;
  sum.overhead_us += f.overhead_us;
}

void Sums::add(const AttemptFacts& f, std::int64_t task) {
  AttemptSum& sum = attempts_[{hour_of(f.time_us), task, f.model, f.provider, static_cast<std::int64_t>(f.stage)}];
  ++sum.calls;
  sum.errors += f.error;
  sum.off_path += f.off_path;
  if (f.cost) {
    sum.cost += f.cost->value;
  } else {
    ++sum.cost_unknown;
  }
  if (f.usage) {
    sum.usage.input += sane(f.usage->input);
    sum.usage.cached_input += sane(f.usage->cached_input);
    sum.usage.cache_write_5m += sane(f.usage->cache_write_5m);
    sum.usage.cache_write_1h += sane(f.usage->cache_write_1h);
    sum.usage.output += sane(f.usage->output);
    sum.usage.reasoning += sane(f.usage->reasoning);
    sum.usage_estimated += f.usage->estimated;
  } else {
    ++sum.usage_unknown;
  }
  sum.latency_us += f.latency_us;
}

void Sums::add_off_path(const AttemptFacts& f, std::int64_t task, std::int64_t served_by) {
  if (!f.cost) return;  // the model's own sums say that it is unknown
  RequestSum& sum = requests_[{hour_of(f.time_us), task, served_by, 0, 0}];
  sum.cost += f.cost->value;
  sum.saved -= f.cost->value;
}

void Sums::add_lesson(std::int64_t time_us, std::int64_t task, Picousd spent) {
  RequestSum& sum = requests_[{hour_of(time_us), task, kServedByLessons, 0, 0}];
  sum.cost += spent.value;
  sum.saved -= spent.value;
}

void Sums::add_label(std::int64_t time_us, std::int64_t task, std::int64_t source, std::int64_t judged, bool agrees) {
  LabelSum& sum = labels_[{hour_of(time_us), task, source, judged, 0}];
  ++sum.n;
  sum.agree += agrees;
}

void Sums::add_spend(std::int64_t time_us, std::int64_t key, std::int64_t task, std::int64_t model, Picousd amount) {
  spend_[{quarter_of(time_us), key, task, model, 0}] += amount.value;
}

Result<void> Sums::flush() {
  for (const auto& [key, s] : requests_) {
    const MoneyParts cost = MoneyParts::of(s.cost), teacher = MoneyParts::of(s.teacher), saved = MoneyParts::of(s.saved);
    int i = 0;
    for (const std::int64_t value : {key.hour, key.task, key.a, s.requests, s.escalated, s.coins, s.client_gone, cost.usd, cost.pico,
                                     s.cost_unknown, teacher.usd, teacher.pico, s.teacher_unknown, s.teacher_estimated, saved.usd,
                                     saved.pico, s.saved_n, s.latency_us, s.overhead_us}) {
      request_upsert_.bind(++i, value);
    }
    STORE_TRY(request_upsert_.run());
  }
  for (const auto& [key, s] : attempts_) {
    const MoneyParts cost = MoneyParts::of(s.cost);
    int i = 0;
    for (const std::int64_t value :
         {key.hour, key.task, key.a, key.b, key.c, s.calls, s.errors, s.off_path, cost.usd, cost.pico, s.cost_unknown, s.usage.input,
          s.usage.cached_input, s.usage.cache_write_5m, s.usage.cache_write_1h, s.usage.output, s.usage.reasoning, s.usage_unknown,
          s.usage_estimated, s.latency_us}) {
      attempt_upsert_.bind(++i, value);
    }
    STORE_TRY(attempt_upsert_.run());
  }
  for (const auto& [key, s] : labels_) {
    label_upsert_.bind(1, key.hour).bind(2, key.task).bind(3, key.a).bind(4, key.b).bind(5, s.n).bind(6, s.agree);
    STORE_TRY(label_upsert_.run());
  }
  for (const auto& [key, amount] : spend_) {
    const MoneyParts parts = MoneyParts::of(amount);
    spend_upsert_.bind(1, key.hour).bind(2, key.task).bind(3, key.a).bind(4, key.b).bind(5, parts.usd).bind(6, parts.pico);
    STORE_TRY(spend_upsert_.run());
  }
  clear();
  return {};
}

void Sums::clear() {
  requests_.clear();
  attempts_.clear();
  labels_.clear();
  spend_.clear();
}

}  // namespace understudy::store
