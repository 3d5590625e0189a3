#pragma once
/// The teacher's call that runs beside the students', where they are unlikely to be enough (`hedge_above`). It changes when the
/// teacher is asked, never who serves: its answer is looked at only once the students have been found wanting.

#include "cascade/internal/call_model.h"
#include "net/timer.h"

namespace understudy::cascade::internal {

class Hedge {
 public:
  /// Starts the call; `attempt` is the teacher's. Both must be settled (`wait` or `drop`) before `attempt` or what `subject` views
  /// goes. The hedge itself must outlive a stream that is read from the attempt.
  Hedge(const CallSubject& subject, Attempt& attempt, Delivery delivery);

  /// Until the call has come as far as one that was made when the students had been found wanting.
  net::Awaitable<void> wait();
  /// Ends the call, for the students were enough or nobody waits any more. What it had cost until then is in the attempt: the request
  /// always, the answer as far as it had come.
  net::Awaitable<void> drop();
  /// Between construction and the end of `wait` or `drop`.
  bool running() const { return running_; }
  Attempt& attempt() { return attempt_; }

 private:
  net::CancelSource cancel_;
  net::TaskGroup group_;
  CallSubject subject_;
  Attempt& attempt_;
  bool running_ = true;
};

}  // namespace understudy::cascade::internal
