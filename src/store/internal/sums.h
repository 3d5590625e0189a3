#pragma once
/// Hourly sums, gathered in memory over a batch and added to their tables at its end. Money is kept in two 64-bit parts,
/// whole USD and picodollars in [0, 1e12): neither they nor an SQL SUM of them can overflow.

#include <cstdint>
#include <optional>
#include <unordered_map>

#include "base/money.h"
#include "chat/stage.h"
#include "chat/usage.h"
#include "store/internal/sqlite.h"

namespace understudy::store {

struct MoneyParts {
  std::int64_t usd = 0;
  std::int64_t pico = 0;  ///< [0, 1e12)
  static MoneyParts of(Int128 picousd);
  Int128 value() const { return Int128{usd} * kPicousdPerUsd + pico; }
};

constexpr std::int64_t hour_of(std::int64_t time_us) { return time_us / 3'600'000'000; }

constexpr std::int64_t quarter_of(std::int64_t time_us) { return time_us / 900'000'000; }

/// What a finished request adds.
struct RequestFacts {
  std::int64_t time_us = 0;
  std::int64_t task = 0;  ///< name number, 0 none
  std::int64_t served_by = -1;
  bool counted = true;    ///< false: cut off by a crash, only its cost
  bool escalated = false, coin = false, client_gone = false, teacher_estimated = false;
  std::int64_t label_source = 0;
  std::optional<bool> agrees;
  std::optional<Picousd> cost, teacher_cost;
  std::int64_t latency_us = 0, overhead_us = 0;
};

/// What an attempt adds.
struct AttemptFacts {
  std::int64_t time_us = 0;
  std::int64_t model = 0, provider = 0;
  Stage stage = Stage::kTeacher;
  bool error = false, off_path = false;
  std::optional<Picousd> cost;
  std::optional<Usage> usage;
  std::int64_t latency_us = 0;
};

class Sums {
 public:
  static Result<Sums> create(Database& db);

  void add(const RequestFacts& facts);
  void add(const AttemptFacts& facts, std::int64_t task);
  /// A call beside the user's path is paid for all the same: it adds to what was spent and takes from what was saved.
  void add_off_path(const AttemptFacts& facts, std::int64_t task, std::int64_t served_by);
  /// So is what is spent on a lesson.
  void add_lesson(std::int64_t time_us, std::int64_t task, Picousd spent);
  /// `judged`: kJudgedOther, kJudgedServed or kJudgedTeacher.
  void add_label(std::int64_t time_us, std::int64_t task, std::int64_t source, std::int64_t judged, bool agrees);

  /// Money under budgets, set aside at `time_us`.
  void add_spend(std::int64_t time_us, std::int64_t key, std::int64_t task, std::int64_t model, Picousd amount);

  /// Adds what was gathered to the tables, inside a write transaction, and starts from nothing again.
  Result<void> flush();
  void clear();

 private:
  struct Key {
    std::int64_t hour = 0, task = 0, a = 0, b = 0, c = 0;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct Hash {
    std::size_t operator()(const Key& key) const;
  };
  struct RequestSum {
    std::int64_t requests = 0, escalated = 0, coins = 0, client_gone = 0;
    Int128 cost = 0, teacher = 0, saved = 0;
    std::int64_t cost_unknown = 0, teacher_unknown = 0, teacher_estimated = 0, saved_n = 0, latency_us = 0, overhead_us = 0;
  };
  struct AttemptSum {
    std::int64_t calls = 0, errors = 0, off_path = 0;
    Int128 cost = 0;
    std::int64_t cost_unknown = 0;
    Usage usage;
    std::int64_t usage_unknown = 0, usage_estimated = 0, latency_us = 0;
  };
  struct LabelSum {
    std::int64_t n = 0, agree = 0;
  };

  Statement request_upsert_, attempt_upsert_, label_upsert_, spend_upsert_;
  std::unordered_map<Key, RequestSum, Hash> requests_;
  std::unordered_map<Key, AttemptSum, Hash> attempts_;
  std::unordered_map<Key, LabelSum, Hash> labels_;
  std::unordered_map<Key, Int128, Hash> spend_;
};

}  // namespace understudy::store
