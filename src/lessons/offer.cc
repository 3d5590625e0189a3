#include "lessons/offer.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace understudy::lessons {
namespace {

constexpr double kUnknownPriceUsd = 0.01;
constexpr std::size_t kMostRates = 10'000;

std::size_t bytes_of(const LessonOffer& offer) { return sizeof offer + offer.body.size() + offer.answer.size() + offer.student_answer.size(); }

}  // namespace

double need_of(const LessonOffer& offer) {
  if (offer.student_agrees) return *offer.student_agrees ? 0.25 : 1;
  return offer.student_confidence ? std::clamp(1 - *offer.student_confidence, 0.0, 1.0) : 0.5;
}

double OfferQueue::per_day(const LessonScope& scope, WallTime now) {
  if (rates_.size() >= kMostRates) rates_.clear();   // it learns again within hours
  Rate& rate = rates_[scope.tenant + '\n' + scope.cascade + '\n' + scope.task];
  const double days = std::max<double>(0, static_cast<double>(now.us - rate.last.us)) / 86'400e6;
  rate.n = rate.n * std::exp2(-days) + 1;
  rate.last = now;
  return rate.n * std::log(2.0);   // at r a day n is r / ln 2
}

bool OfferQueue::push(LessonOffer offer, WallTime now) {
  const std::lock_guard lock(mutex_);
  const double price = offer.teacher_cost ? static_cast<double>(offer.teacher_cost->value) / static_cast<double>(kPicousdPerUsd) : kUnknownPriceUsd;
  const Entry entry{offer.provenance == Provenance::kFeedback, per_day(offer.scope, now) * need_of(offer) * price, next_++};
  bytes_ += bytes_of(offer);
  waiting_.emplace(entry, std::move(offer));
  bool kept = true;
  while (!waiting_.empty() && (waiting_.size() > limits_.offers || bytes_ > limits_.bytes)) {
    const auto least = waiting_.begin();
    kept = kept && least->first.number != entry.number;
    bytes_ -= bytes_of(least->second);
    waiting_.erase(least);
    ++dropped_;
  }
  return kept;
}

std::optional<OfferQueue::Taken> OfferQueue::pop() {
  const std::lock_guard lock(mutex_);
  if (waiting_.empty()) return std::nullopt;
  auto best = waiting_.extract(std::prev(waiting_.end()));
  bytes_ -= bytes_of(best.mapped());
  return Taken{std::move(best.mapped()), best.key().value};
}

std::size_t OfferQueue::size() const {
  const std::lock_guard lock(mutex_);
  return waiting_.size();
}

std::uint64_t OfferQueue::dropped() const {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

}  // namespace understudy::lessons
