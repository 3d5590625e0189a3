#include "cascade/internal/hedge.h"

namespace understudy::cascade::internal {
namespace {

CallSubject with_token(CallSubject subject, net::CancelToken token) {
  subject.cancel = token;
  return subject;
}

}  // namespace

Hedge::Hedge(const CallSubject& subject, Attempt& attempt, Delivery delivery)
    : cancel_(subject.cancel), group_(subject.deps.reactor), subject_(with_token(subject, cancel_.token())), attempt_(attempt) {
  group_.spawn(call_model(subject_, attempt_, delivery));
}

net::Awaitable<void> Hedge::wait() {
  co_await group_.wait();
  running_ = false;
}

net::Awaitable<void> Hedge::drop() {
  cancel_.cancel();
  co_await group_.wait();
  running_ = false;
  subject_.deps.counters.hedges_lost.fetch_add(1, std::memory_order_relaxed);
  const bool open = attempt_.ok() && attempt_.reply && attempt_.reply->is_event_stream() && !attempt_.answer;
  if (!open) co_return;
  // What has arrived was made for us, and will be charged; of what is still on its way nothing can be known.
  chat::StreamAssembler assembler;
  while (attempt_.reply->event_ready()) {
    auto event = co_await attempt_.reply->next_event();
    if (!event || !*event || !assembler.add(**event, false)) break;
  }
  finish_stream(subject_, attempt_, assembler);
  attempt_.error = Error(ErrorKind::kCancelled, "The answer was not needed.");
  attempt_.reply.reset();
  subject_.deps.counters.attempts[static_cast<std::size_t>(attempt_.stage)].fetch_add(1, std::memory_order_relaxed);
}

}  // namespace understudy::cascade::internal
