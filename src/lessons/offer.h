#pragma once
/// How lessons come in: the cascade offers what a request has shown, the lessons' thread takes the most valuable first. Offering never
/// waits: a short lock, and where the queue is full the least valuable offer is dropped and counted.
///
/// The value of an offer, in USD a day, is what never asking the teacher about such inputs again would save:
///
///   how many offers a day its tenant's task makes  x  need  x  the teacher's price for this request
///
/// `need` is 1 where the student's answer is known to be wrong, 0.25 where it is known to be right (then it was only unsure), else
/// 1 - its confidence, 0.5 where it has none. A price that is not known counts as one cent, for nothing but this order.
/// Users' corrections come before everything else.

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/money.h"
#include "lessons/lesson.h"

namespace understudy::lessons {

/// What a request has shown. Texts as they came; they are redacted before anything is stored.
struct LessonOffer {
  std::string request_id;
  LessonScope scope;
  std::uint64_t input_hash = 0;
  Provenance provenance = Provenance::kEscalation;
  std::string body;                         ///< the request's JSON
  std::string answer;                       ///< the teacher's, or a user's correction
  bool agreed_by_teacher = true;            ///< false: a correction that the teacher does not agree with, or has not seen
  std::string teacher_model;                ///< configured name
  std::optional<Picousd> teacher_cost;      ///< of one answer to this request
  std::string student_answer;
  std::optional<double> student_confidence;
  std::string student_rung;
  std::optional<bool> student_agrees;       ///< with the teacher; nullopt: not compared
};

/// Where offers go. Thread-safe, never blocks.
class LessonSink {
 public:
  virtual ~LessonSink() = default;
  /// False: dropped, and counted.
  virtual bool offer(LessonOffer offer) = 0;
};

/// How needed a lesson is, in [0, 1]; see above.
double need_of(const LessonOffer& offer);

/// Offers waiting for the lessons' thread. Thread-safe.
class OfferQueue {
 public:
  struct Limits {
    std::size_t offers = 1'000;
    std::size_t bytes = std::size_t{32} << 20;   ///< of their texts
  };
  explicit OfferQueue(Limits limits) : limits_(limits) {}
  OfferQueue() : OfferQueue(Limits{}) {}

  /// Puts it in by its value. False: it was the least valuable of a full queue.
  bool push(LessonOffer offer, WallTime now);

  struct Taken {
    LessonOffer offer;
    double value = 0;   ///< USD a day
  };
  /// The most valuable one; nullopt where there is none.
  std::optional<Taken> pop();

  std::size_t size() const;
  std::uint64_t dropped() const;

 private:
  struct Entry {
    bool feedback = false;
    double value = 0;
    std::uint64_t number = 0;   ///< of two that are worth the same the older one goes first
    friend bool operator<(const Entry& a, const Entry& b) {
      if (a.feedback != b.feedback) return b.feedback;
      if (a.value != b.value) return a.value < b.value;
      return a.number > b.number;
    }
  };
  struct Rate {
    double n = 0;   ///< offers, each halved for every day that has gone since
    WallTime last;
  };
  double per_day(const LessonScope& scope, WallTime now);

  const Limits limits_;
  mutable std::mutex mutex_;
  std::map<Entry, LessonOffer> waiting_;                ///< guarded, like all below; the best last
  std::unordered_map<std::string, Rate> rates_;
  std::size_t bytes_ = 0;
  std::uint64_t next_ = 0;
  std::uint64_t dropped_ = 0;
};

}  // namespace understudy::lessons
