// POST /v1/rerank: documents by how relevant they are to a query, for clients of Cohere, Jina and TEI.

#include <fmt/format.h>

#include <array>
#include <functional>

#include "gateway/internal/callers.h"
#include "gateway/internal/inference_json.h"
#include "gateway/internal/pair_models.h"
#include "gateway/internal/service.h"
#include "net/timer.h"

namespace understudy::gateway::internal {
namespace {

/// With TEI a text that would not be read to its end is refused, unless the client lets it be cut.
constexpr std::size_t kLongestWhole = 64 * 1024;

/// Words alone of so many bytes take some tenths of a millisecond: on the reactor.
constexpr std::size_t kMostHere = 4'096;

std::size_t bytes_of(const chat::RerankRequest& request) {
  std::size_t bytes = request.query.size() * request.documents.size();
  for (const std::string& document : request.documents) bytes += document.size();
  return bytes;
}

Result<void> check_lengths(const chat::RerankRequest& request) {
  if (!request.tei || request.truncate) return {};
  for (std::size_t i = 0; i < request.documents.size(); ++i) {
    if (request.documents[i].size() > kLongestWhole) {
      return fail(ErrorKind::kInvalidRequest, fmt::format("Text {} has {} bytes, of which {} are read: send \"truncate\": true to have it cut, or passages of it.", i, request.documents[i].size(), kLongestWhole), "texts");
    }
  }
  return {};
}

}  // namespace

net::Task<void> ReactorService::run_scoring(net::Exchange& exchange, bool little, const std::function<Result<void>(std::stop_token)>& work) {
  if (little) co_return work(std::stop_token());
  std::stop_source stop;
  net::Event ended(reactor_);
  Result<void> done;
  const net::CancelHook left(exchange.gone(), [&stop] { stop.request_stop(); });
  net::Reactor* const here = &reactor_;
  // Nothing of this frame goes before the work has ended: the wait is for ever.
  std::move_only_function<void()> job = [here, &ended, &done, &work, token = stop.get_token()] {
    done = token.stop_requested() ? Result<void>(fail(ErrorKind::kCancelled, "the client went away")) : work(token);
    here->post([&ended] { ended.set(); });
  };
  if (!shared_->scores.run(std::move(job))) {
    Error error(ErrorKind::kOverloaded, "Too many requests wait for rerankers and judges; try again in a moment.");
    error.retry_after_ms = 1'000;
    co_return fail(std::move(error));
  }
  [[maybe_unused]] const bool set = co_await ended.wait();
  co_return std::move(done);
}

net::Task<PairReply> ReactorService::rank(net::Exchange& exchange, Result<chat::RerankRequest>& request, std::string_view request_id) {
  const auto keys = snapshot_.keys;
  const auto policy = snapshot_.policy;   // a reload leaves this request its reranker
  if (auto caller = authenticate(exchange.head(), *keys, reactor_.clock()); !caller) co_return fail(std::move(caller.error()));
  if (!request) co_return fail(std::move(request.error()));
  if (auto fits = check_lengths(*request); !fits) co_return fail(std::move(fits.error()));
  const auto model = find_reranker(*policy, request->model, shared_->options.encoder.get());
  if (!model) co_return fail(model.error());
  PairReply reply;
  reply.served_by = model->served_by();
  reply.model = model->name();
  const std::function<Result<void>(std::stop_token)> work = [&](std::stop_token stop) -> Result<void> {
    const auto scores = relevance(*model, shared_->scores, *request, std::move(stop));
    if (!scores) return fail(scores.error());
    reply.body = rerank_json(model->specialist.get(), *request, *scores, request_id);
    return {};
  };
  const bool little = model->words_alone(shared_->scores) && bytes_of(*request) <= kMostHere;
  if (auto done = co_await run_scoring(exchange, little, work); !done) co_return fail(std::move(done.error()));
  shared_->pair_counters.reranks.fetch_add(1, std::memory_order_relaxed);
  shared_->pair_counters.documents.fetch_add(request->documents.size(), std::memory_order_relaxed);
  co_return reply;
}

net::Task<void> ReactorService::respond_pairs(net::Exchange& exchange, const PairReply& reply, std::span<const net::Field> json_fields) {
  const std::string overhead = std::to_string((reactor_.clock().mono().ns - exchange.started().ns) / 1'000);
  const std::array<net::Field, 6> fields{json_fields[0], json_fields[1], net::Field("x-understudy-served-by", reply.served_by), net::Field("x-understudy-model", reply.model),
                                         net::Field("x-understudy-cost-usd", "0"), net::Field("x-understudy-overhead-us", overhead)};
  co_return co_await exchange.respond(200, fields, reply.body);
}

net::Task<void> ReactorService::rerank(net::Exchange& exchange, std::span<const net::Field> json_fields) {
  auto request = chat::parse_rerank_request(exchange.body());
  const bool tei = request ? request->tei : chat::is_tei_rerank(exchange.body());
  const auto reply = co_await rank(exchange, request, json_fields.front().value);
  if (reply) co_return co_await respond_pairs(exchange, *reply, json_fields);
  if (!tei) co_return co_await exchange.respond_error(reply.error(), json_fields.first(1));
  const auto [status, body] = tei_error(reply.error());
  co_return co_await exchange.respond(status, json_fields, body);
}

}  // namespace understudy::gateway::internal
