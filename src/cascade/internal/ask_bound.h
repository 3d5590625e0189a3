#pragma once
/// Asks a bound reranker or judge on threads that may compute, while the reactor serves others.

#include <memory>
#include <optional>

#include "cascade/bound_specialist.h"
#include "net/reactor.h"
#include "net/task.h"
#include "specialists/score_pool.h"

namespace understudy::cascade::internal {

struct BoundQuestion {
  BoundQuestion(std::shared_ptr<const BoundSpecialist> b, templates::Slots s, double from) : bound(std::move(b)), slots(std::move(s)), yes_from(from) {}

  std::shared_ptr<const BoundSpecialist> bound;
  templates::Slots slots;
  double yes_from;   ///< read_verdict
};

/// What it says; nullopt where it cannot: unfit for this machine, turned away by a pool that is full, a runtime that failed, or an answer that cannot be
/// written. Resumes on `reactor`.
net::Awaitable<std::optional<BoundReading>> ask_bound(specialists::ScorePool& pool, BoundQuestion question, net::Reactor& reactor);

/// The same at once, on a thread that may compute.
std::optional<BoundReading> answer_bound(specialists::ScorePool& pool, const BoundQuestion& question);

}  // namespace understudy::cascade::internal
