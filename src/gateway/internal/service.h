#pragma once
#include <functional>
#include <stop_token>

#include "cascade/engine.h"
#include "chat/rerank_request.h"
#include "gateway/http_sink.h"
#include "gateway/internal/shared.h"
#include "net/client.h"
#include "net/server.h"
#include "store/purse.h"

namespace understudy::specialists {
class IntentSpecialist;
struct IntentPrediction;
}

namespace understudy::gateway::internal {

struct Caller;

/// The answer of a reranker or judge, and who gave it.
struct PairReply {
  std::string body, served_by, model;
};

enum class RouteName { kChat, kFeedback, kClassify, kEmbeddings, kScore, kRerank, kModels, kModel, kHealth, kReady, kMetrics, kAdmin, kUnknown };

/// The route that a path names.
struct Matched {
  RouteName route = RouteName::kUnknown;
  std::string_view id;          ///< of /v1/models/{id}, or the admin route's own part
  std::string_view method;      ///< the one that the route takes
  AdminRoute admin = AdminRoute::kPage;   ///< where it is an admin route
};

/// One reactor's part of the gateway.
class ReactorService final : public net::Service {
 public:
  static Result<std::unique_ptr<ReactorService>> create(net::Reactor& reactor, std::shared_ptr<Shared> shared);

  net::Awaitable<void> handle(net::Exchange& exchange) override;
  net::Awaitable<void> shut_down() override;

  /// Makes this reactor's providers for a snapshot without putting them in force.
  Result<std::shared_ptr<const cascade::Runtime>> make_runtime(const Snapshot& snapshot);
  void install(Snapshot snapshot, std::shared_ptr<const cascade::Runtime> runtime);
  net::Awaitable<void> probe();
  void spawn_probe() { background_.spawn(probe()); }
  /// A drain has begun: requests with an idempotency key, which go on without their client, end with it, too.
  void stop_keyed_in(std::int64_t ms) { background_.spawn(stop_keyed(ms)); }

 private:
  ReactorService(net::Reactor& reactor, std::shared_ptr<Shared> shared);
  /// The client's own where it is fit to be one, else a new one.
  std::string request_id_of(const net::Exchange& exchange);
  net::Awaitable<void> chat(net::Exchange& exchange);
  /// The same for a request with an `idempotency-key` (keyed_requests.cc).
  net::Awaitable<void> keyed_chat(net::Exchange& exchange, cascade::RequestContext context, CallerLimits limits, std::string_view key);
  net::Task<void> replay(net::Exchange& exchange, const KeptAnswer& answer);
  net::Awaitable<void> stop_keyed(std::int64_t ms);
  /// What is left of the key's limits after this request. kRateLimited where one of them is reached; `limits` then says how that stands.
  Result<void> take_limits(const ApiKey& key, std::string_view body, CallerLimits& limits);
  net::Task<void> refuse(net::Exchange& exchange, std::string_view request_id, const Error& error, const CallerLimits& limits);
  /// Every other route, and what is none.
  net::Awaitable<void> handle_other(net::Exchange& exchange, Matched matched);
  /// POST /v1/feedback (feedback_route.cc).
  net::Task<void> feedback(net::Exchange& exchange, std::span<const net::Field> json_fields);
  /// POST /v1/classify (classify_route.cc).
  net::Task<void> classify(net::Exchange& exchange, std::span<const net::Field> json_fields);
  /// Asks again, with their vectors, where the words were not enough. @return them by text, empty where not; none at all where none was needed or could be had
  net::Awaitable<std::vector<std::vector<float>>> ask_by_vector(const specialists::IntentSpecialist& intent, const std::vector<std::string>& texts, std::vector<specialists::IntentPrediction>& predictions, net::CancelToken gone);
  /// POST /v1/embeddings (embeddings_route.cc): our own encoder's, or an upstream's.
  net::Task<void> embeddings(net::Exchange& exchange, std::span<const net::Field> json_fields);
  net::Task<void> forward_embeddings(net::Exchange& exchange, std::string_view model, const Caller& caller, std::span<const net::Field> json_fields);
  /// POST /v1/score (score_route.cc).
  net::Task<void> score(net::Exchange& exchange, std::span<const net::Field> json_fields);
  /// POST /v1/rerank (rerank_route.cc), and its answer before it is one of HTTP.
  net::Task<void> rerank(net::Exchange& exchange, std::span<const net::Field> json_fields);
  net::Task<PairReply> rank(net::Exchange& exchange, Result<chat::RerankRequest>& request, std::string_view request_id);
  net::Task<void> respond_pairs(net::Exchange& exchange, const PairReply& reply, std::span<const net::Field> json_fields);
  /// Runs `work` here where it is little, else on the threads of rerankers and judges; there it is told to stop when the client leaves. kOverloaded
  /// where too many wait; kCancelled.
  net::Task<void> run_scoring(net::Exchange& exchange, bool little, const std::function<Result<void>(std::stop_token)>& work);
  /// Runs `work` here where it is little, else on a thread of its own while others are served. kOverloaded where too many do so.
  net::Task<void> run_work(bool little, std::function<void()> work);
  net::Awaitable<void> hourly_probe();
  /// GET /admin/api/calls (admin_calls.cc).
  net::Task<void> admin_calls(net::Exchange& exchange, std::span<const net::Field> id_field);
  /// Every other admin route and the status page (admin_answers.cc).
  net::Task<void> admin(net::Exchange& exchange, AdminRoute route, std::string_view raw_name, std::span<const net::Field> id_field);
  /// `json_fields`: the request's id, then the type.
  net::Task<void> models(net::Exchange& exchange, std::string_view raw_id, std::span<const net::Field> json_fields);

  net::Reactor& reactor_;
  std::shared_ptr<Shared> shared_;
  SeededRandom random_;
  RequestIdMaker ids_;
  net::ClientPool pool_;
  store::Purse purse_;
  cascade::Engine engine_;
  net::TaskGroup background_;
  net::CancelSource keyed_stop_;
  Snapshot snapshot_;
};

}  // namespace understudy::gateway::internal
