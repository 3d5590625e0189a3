// Chat completions with an `idempotency-key`: the first is answered, its repeats get the same.
#include <fmt/format.h>

#include <algorithm>

#include "gateway/internal/keyed_sink.h"
#include "gateway/internal/service.h"

namespace understudy::gateway::internal {
namespace {

bool is_acceptable(std::string_view key) {
  return !key.empty() && key.size() <= 255 && std::all_of(key.begin(), key.end(), [](char c) { return c >= ' ' && c < 127; });
}

/// Whom a repeat waits for.
struct Wait {
  explicit Wait(net::Reactor& reactor) : over(reactor) {}
  net::Event over;
  std::shared_ptr<const KeptAnswer> answer;   ///< of the first one; null: it failed
};

/// Those who wait hear of the end also where an exception is it.
struct FirstTurn {
  IdempotencyStore& store;
  const std::string& name;
  const Clock& clock;
  std::shared_ptr<const KeptAnswer> answer;
  ~FirstTurn() { store.finish(name, std::move(answer), clock.mono()); }
};

}  // namespace

net::Task<void> ReactorService::replay(net::Exchange& exchange, const KeptAnswer& answer) {
  std::vector<net::Field> fields;
  for (const auto& [name, value] : answer.fields) fields.emplace_back(name, value);
  fields.emplace_back("x-understudy-replayed", "1");
  if (!answer.stream) co_return co_await exchange.respond(200, fields, answer.body);
  exchange.start_stream(200, fields);
  co_return co_await exchange.finish(answer.body);
}

net::Awaitable<void> ReactorService::keyed_chat(net::Exchange& exchange, cascade::RequestContext context, CallerLimits limits, std::string_view key) {
  if (!is_acceptable(key)) {
    const Error error(ErrorKind::kInvalidRequest, "idempotency-key must have 1 to 255 printable ASCII characters.", "idempotency-key");
    [[maybe_unused]] auto sent = co_await refuse(exchange, context.request_id, error, limits);
    co_return;
  }
  const std::string name = IdempotencyStore::name_of(context.key_name, context.tenant, context.route, key);
  const Hash128 body = hash128(context.body);
  for (;;) {
    auto wait = std::make_shared<Wait>(reactor_);
    net::Reactor* const reactor = &reactor_;
    // The event moves along, so that it is let go of on its own reactor.
    IdempotencyStore::Wake wake = [reactor, event = wait](std::shared_ptr<const KeptAnswer> answer) mutable {
      reactor->post([event = std::move(event), answer = std::move(answer)]() mutable {
        event->answer = std::move(answer);
        event->over.set();
      });
    };
    IdempotencyStore::Look look = shared_->keyed.look(name, body, reactor_.clock().mono(), std::move(wake));
    if (look.turn == IdempotencyStore::Turn::kFirst) break;
    if (look.turn == IdempotencyStore::Turn::kConflict) {
      const Error error(ErrorKind::kConflict, fmt::format("The idempotency-key '{}' came with another body within the last ten minutes: a request that is not a repeat needs a key of its own.", key), "idempotency-key");
      [[maybe_unused]] auto sent = co_await refuse(exchange, context.request_id, error, limits);
      co_return;
    }
    if (look.turn == IdempotencyStore::Turn::kWait) {
      const bool over = co_await wait->over.wait(context.deadline, exchange.gone());
      if (exchange.client_gone()) co_return;
      if (!over) {
        const Error error(ErrorKind::kUpstreamTimeout, "The request with the same idempotency-key is still being answered.");
        [[maybe_unused]] auto sent = co_await refuse(exchange, context.request_id, error, limits);
        co_return;
      }
      look.answer = wait->answer;
      if (!look.answer) continue;   // the first one failed: it is this one's turn, or another's that waits
    }
    if (limits.token_meter) limits.token_meter->charge(reactor_.clock().mono(), -limits.tokens_taken);   // nothing is used
    [[maybe_unused]] auto sent = co_await replay(exchange, *look.answer);
    co_return;
  }
  FirstTurn turn{shared_->keyed, name, reactor_.clock(), nullptr};
  HttpSink sink(exchange, snapshot_.policy->heartbeat_ms, std::move(limits));
  KeyedSink keeping(sink, keyed_stop_.token());
  co_await engine_.handle(std::move(context), keeping);
  turn.answer = keeping.take();
}

net::Awaitable<void> ReactorService::stop_keyed(std::int64_t ms) {
  const bool over = co_await net::sleep_for(reactor_, ms, background_.token());
  if (over) keyed_stop_.cancel();
}

}  // namespace understudy::gateway::internal
