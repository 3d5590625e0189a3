#include "gateway/internal/service.h"

#include <fmt/format.h>

#include "base/json_writer.h"
#include "base/log.h"
#include "chat/answer.h"
#include "gateway/internal/admin_routes.h"
#include "gateway/internal/callers.h"
#include "gateway/internal/chat_route.h"
#include "net/percent.h"
#include "net/url.h"
#include "providers/factory.h"
#include "providers/probe.h"
#include "specialists/registry.h"

namespace understudy::gateway::internal {
namespace {

/// Paths stand with and without /v1, and under /openai as Azure-style clients write them.
Matched match(std::string_view path, std::string_view method) {
  if (path == "/health" || path == "/healthz") return {RouteName::kHealth, {}, "GET"};
  if (path == "/health/ready" || path == "/readyz") return {RouteName::kReady, {}, "GET"};
  if (path == "/metrics") return {RouteName::kMetrics, {}, "GET"};
  if (path == "/" || path.starts_with("/admin")) {
    if (const auto admin = match_admin(path, method == "HEAD" ? "GET" : method)) return {RouteName::kAdmin, admin->name, admin->info->method, admin->info->route};
    return {};
  }
  if (path == "/v2/rerank" || path == "/cohere/v2/rerank" || path == "/cohere/v1/rerank") return {RouteName::kRerank, {}, "POST"};
  if (path.starts_with("/openai/")) path.remove_prefix(7);
  if (path.starts_with("/v1/")) path.remove_prefix(3);
  if (path == "/chat/completions") return {RouteName::kChat, {}, "POST"};
  if (path == "/feedback") return {RouteName::kFeedback, {}, "POST"};
  if (path == "/classify") return {RouteName::kClassify, {}, "POST"};
  if (path == "/embeddings") return {RouteName::kEmbeddings, {}, "POST"};
  if (path == "/score") return {RouteName::kScore, {}, "POST"};
  if (path == "/rerank" || path == "/reranking") return {RouteName::kRerank, {}, "POST"};
  if (path == "/models") return {RouteName::kModels, {}, "GET"};
  if (path.starts_with("/models/")) return {RouteName::kModel, path.substr(8), "GET"};
  return {};
}

std::uint64_t seed_for(const GatewayOptions& options, unsigned reactor) {
  return options.seed != 0 ? options.seed * 0x9e3779b97f4a7c15 + reactor : entropy64();
}

store::Journal* journal_of(net::Reactor& reactor, Shared& shared) { return shared.store != nullptr ? &shared.store->journal(reactor.index()) : nullptr; }

cascade::EngineDeps make_deps(net::Reactor& reactor, Shared& shared, Random& random, store::Purse& purse) {
  return {reactor, journal_of(reactor, shared), shared.cache, *shared.counters[reactor.index()],
          shared.label_budget, random, shared.promises.get(), shared.options.await_durability, shared.lessons.get(), cascade::EngineDeps::kMaxOffPath,
          shared.few_shots.get(), shared.options.encoder.get(), &purse, &shared.scores};
}

void write_model(JsonWriter& w, std::string_view id, std::int64_t created) {
  w.begin_object().field("id", id).field("object", "model").field("created", created).field("owned_by", "understudy").end_object();
}

std::vector<std::string_view> model_names(const cascade::Policy& policy, const neural::EncoderPool* encoder) {
  std::vector<std::string_view> names{"understudy/auto", "understudy/student", "understudy/teacher"};
  for (const auto& cascade : policy.cascades) names.push_back(cascade.name);
  for (const auto& model : policy.models) names.push_back(model.config.name);
  for (const auto& specialist : policy.registry().all()) names.push_back(specialist->name);
  if (encoder != nullptr) names.insert(names.end(), {"understudy/encoder", encoder->identity().model});
  return names;
}

}  // namespace

ReactorService::ReactorService(net::Reactor& reactor, std::shared_ptr<Shared> shared)
    : reactor_(reactor),
      shared_(std::move(shared)),
      random_(seed_for(shared_->options, reactor.index())),
      ids_(reactor.clock(), random_),
      pool_(reactor, shared_->options.client),
      purse_(shared_->budgets, journal_of(reactor, *shared_)),
      engine_(make_deps(reactor, *shared_, random_, purse_)),
      background_(reactor) {}

Result<std::unique_ptr<ReactorService>> ReactorService::create(net::Reactor& reactor, std::shared_ptr<Shared> shared) {
  Snapshot snapshot;
  {
    const std::lock_guard lock(shared->mutex);
    snapshot = shared->snapshot;
  }
  std::unique_ptr<ReactorService> service(new ReactorService(reactor, std::move(shared)));
  auto runtime = service->make_runtime(snapshot);
  if (!runtime) return fail(std::move(runtime.error()));
  service->install(std::move(snapshot), std::move(*runtime));
  if (reactor.index() == 0) service->background_.spawn(service->hourly_probe());
  return service;
}

Result<std::shared_ptr<const cascade::Runtime>> ReactorService::make_runtime(const Snapshot& snapshot) {
  auto runtime = std::make_shared<cascade::Runtime>();
  runtime->policy = snapshot.policy;
  for (const auto& model : snapshot.policy->models) {
    auto provider = providers::make_provider(pool_, model.config);
    if (!provider) return fail(std::move(provider.error()));
    runtime->providers.push_back(std::move(*provider));
  }
  return std::shared_ptr<const cascade::Runtime>(std::move(runtime));
}

void ReactorService::install(Snapshot snapshot, std::shared_ptr<const cascade::Runtime> runtime) {
  snapshot_ = std::move(snapshot);
  engine_.set_runtime(std::move(runtime));
}

net::Awaitable<void> ReactorService::hourly_probe() {
  while (true) {
    co_await probe();
    // A student that could not be reached is asked again soon: it may just be starting.
    bool known = true;
    for (const auto& cascade : snapshot_.policy->cascades) {
      if (cascade.student) known = known && snapshot_.policy->models[*cascade.student].config.state->logprobs.load() != providers::LogprobSupport::kUnknown;
    }
    if (!co_await net::sleep_for(reactor_, known ? 3'600'000 : 30'000, background_.token())) co_return;
  }
}

net::Awaitable<void> ReactorService::probe() {
  const auto runtime = engine_.runtime();
  const cascade::Policy& policy = *runtime->policy;
  for (const auto& cascade : policy.cascades) {
    if (!cascade.student) continue;
    const providers::ModelConfig& model = policy.models[*cascade.student].config;
    if (model.key_from_client || model.api != providers::Api::kOpenai) continue;  // no key of ours to ask with; nothing to find out
    // As for any call, with room for its few words.
    const SpendSubject payer{{}, {}, model.name};
    const WallTime now = reactor_.clock().wall();
    auto hold = purse_.on() ? purse_.reserve(payer, policy.models[*cascade.student].most(*policy.prices, 512, 16, now), now) : Result<BudgetHold>(BudgetHold());
    if (!hold) {
      log::warn("student '{}' is not probed for logprobs: {}", model.name, hold.error().message);
      continue;
    }
    const auto result = co_await providers::probe_logprobs(*runtime->providers[*cascade.student], model.upstream_model, policy.top_logprobs,
                                                           net::Deadline::after_ms(reactor_.clock().mono(), 60'000), background_.token());
    if (background_.token().cancelled()) co_return;
    if (result.status != 200 && result.status != 0) purse_.settle(payer, *hold, Picousd{0});   // else it stays at what it costs at most
    const auto before = model.state->logprobs.load();
    if (result.support != providers::LogprobSupport::kUnknown) model.state->logprobs.store(result.support);
    if (result.support == providers::LogprobSupport::kUnknown) {
      log::warn("student '{}' could not be probed for logprobs: {}", model.name, result.note);
    } else if (result.support != before) {
      log::info("student '{}' gives logprobs: {}{}", model.name, providers::logprob_support_name(result.support),
                result.support == providers::LogprobSupport::kNone ? " (without them every request goes to the teacher)" : "");
    }
  }
}

// Not a coroutine: a chat that lasts for minutes does not hold the frame of the other routes.
net::Awaitable<void> ReactorService::handle(net::Exchange& exchange) {
  const Matched matched = match(exchange.head().path, exchange.head().method);
  if (matched.route == RouteName::kChat && exchange.head().method == "POST") return chat(exchange);
  return handle_other(exchange, matched);
}

std::string ReactorService::request_id_of(const net::Exchange& exchange) {
  const auto given = exchange.head().find("x-request-id");
  return given && is_acceptable_request_id(*given) ? std::string(*given) : ids_.next();
}

net::Awaitable<void> ReactorService::handle_other(net::Exchange& exchange, Matched matched) {
  const std::string_view method = exchange.head().method;
  const std::string request_id = request_id_of(exchange);
  std::array<net::Field, 2> json_fields{net::Field("x-request-id", request_id), net::Field("content-type", "application/json")};
  const std::span<const net::Field> id_field = std::span<const net::Field>(json_fields).first(1);
  if (matched.route == RouteName::kUnknown) {
    const Error error(ErrorKind::kNotFound, fmt::format("There is no route {} {}. Served here: POST /v1/chat/completions, /v1/embeddings, /v1/classify, /v1/rerank, /v1/score, /v1/feedback, GET /v1/models, /health, /health/ready, /metrics, / (status page), /admin/api/... (listed by /admin/api/openapi.json).",
                                                        method, exchange.head().path.substr(0, 200)));
    [[maybe_unused]] auto sent = co_await exchange.respond_error(error, id_field);
    co_return;
  }
  if (method != matched.method && !(method == "HEAD" && matched.method == "GET")) {
    const std::array<net::Field, 2> allow{id_field.front(), net::Field("allow", matched.method)};
    const Error error(ErrorKind::kMethodNotAllowed, fmt::format("{} takes {}, not {}.", exchange.head().path.substr(0, 200), matched.method, method.substr(0, 20)));
    [[maybe_unused]] auto sent = co_await exchange.respond_error(error, allow);
    co_return;
  }
  switch (matched.route) {
    case RouteName::kModels:
    case RouteName::kModel: {
      [[maybe_unused]] auto sent = co_await models(exchange, matched.id, json_fields);
      break;
    }
    case RouteName::kFeedback: {
      [[maybe_unused]] auto sent = co_await feedback(exchange, json_fields);
      break;
    }
    case RouteName::kClassify: {
      [[maybe_unused]] auto sent = co_await classify(exchange, json_fields);
      break;
    }
    case RouteName::kEmbeddings: {
      [[maybe_unused]] auto sent = co_await embeddings(exchange, json_fields);
      break;
    }
    case RouteName::kScore: {
      [[maybe_unused]] auto sent = co_await score(exchange, json_fields);
      break;
    }
    case RouteName::kRerank: {
      [[maybe_unused]] auto sent = co_await rerank(exchange, json_fields);
      break;
    }
    case RouteName::kHealth: {
      [[maybe_unused]] auto sent = co_await exchange.respond(200, json_fields, "{\"status\":\"ok\"}");
      break;
    }
    case RouteName::kReady: {
      const bool draining = shared_->draining.load(std::memory_order_relaxed);
      [[maybe_unused]] auto sent =
          co_await exchange.respond(draining ? 503 : 200, json_fields, draining ? "{\"status\":\"draining\"}" : "{\"status\":\"ready\"}");
      break;
    }
    case RouteName::kMetrics: {
      if (!snapshot_.keys->open() && !net::is_loopback_host(exchange.peer())) {
        if (auto allowed = authenticate_operator(exchange, *snapshot_.keys, reactor_.clock(), OperatorScope::kAudit); !allowed) {
          [[maybe_unused]] auto sent = co_await exchange.respond_error(allowed.error(), id_field);
          break;
        }
      }
      net::Field text("content-type", "text/plain; version=0.0.4; charset=utf-8");
      const std::string body = metrics_text(*shared_);
      [[maybe_unused]] auto sent = co_await exchange.respond(200, std::span<const net::Field>(&text, 1), body);
      break;
    }
    case RouteName::kAdmin: {
      if (matched.admin == AdminRoute::kCalls) {
        [[maybe_unused]] auto sent = co_await admin_calls(exchange, id_field);
      } else {
        [[maybe_unused]] auto sent = co_await admin(exchange, matched.admin, matched.id, id_field);
      }
      break;
    }
    case RouteName::kChat:
    case RouteName::kUnknown: break;  // both were answered above
  }
}

net::Awaitable<void> ReactorService::chat(net::Exchange& exchange) {
  std::string request_id = request_id_of(exchange);
  const auto keys = snapshot_.keys;  // stays valid over a reload
  auto caller = authenticate(exchange.head(), *keys, reactor_.clock());
  Result<cascade::RequestContext> context = caller ? make_context(exchange, *caller) : Result<cascade::RequestContext>(fail(caller.error()));
  if (!context) {
    net::Field id("x-request-id", request_id);
    [[maybe_unused]] auto sent = co_await exchange.respond_error(context.error(), std::span<const net::Field>(&id, 1));
    co_return;
  }
  CallerLimits limits;
  const auto admitted = caller->key != nullptr ? take_limits(*caller->key, exchange.body(), limits) : Result<void>();
  if (!admitted) {
    [[maybe_unused]] auto sent = co_await refuse(exchange, request_id, admitted.error(), limits);
    co_return;
  }
  context->request_id = std::move(request_id);
  if (const auto key = exchange.head().find("idempotency-key")) {
    co_await keyed_chat(exchange, std::move(*context), std::move(limits), *key);
    co_return;
  }
  HttpSink sink(exchange, snapshot_.policy->heartbeat_ms, std::move(limits));
  co_await engine_.handle(std::move(*context), sink);
}

Result<void> ReactorService::take_limits(const ApiKey& key, std::string_view body, CallerLimits& limits) {
  const MonoTime now = reactor_.clock().mono();
  const auto refused = [](const RateState& state, std::string message) {
    Error error(ErrorKind::kRateLimited, std::move(message));
    error.retry_after_ms = state.retry_after_ms;
    return fail(std::move(error));
  };
  if (key.requests) {
    limits.requests = key.requests->take(now);
    const RateLimit limit = key.requests->limit();
    if (!limits.requests->admitted) {
      return refused(*limits.requests, fmt::format("The key '{}' may ask {} times a {}; try again in {} ms.", key.name, limit.count, limit.window_ms == 1'000 ? "second" : "minute",
                                                   limits.requests->retry_after_ms));
    }
  }
  if (key.tokens) {
    // The request's own tokens by rule of thumb; what it really had, with its answer, takes their place (HttpSink::settled).
    limits.tokens_taken = std::min(chat::estimate_tokens(body), key.tokens->limit().count);
    limits.tokens = key.tokens->take(now, limits.tokens_taken);
    if (!limits.tokens->admitted) {
      return refused(*limits.tokens, fmt::format("The key '{}' may use {} tokens a minute, and {} are left; try again in {} ms.", key.name, key.tokens->limit().count, limits.tokens->remaining,
                                                 limits.tokens->retry_after_ms));
    }
    limits.token_meter = key.tokens;
  }
  return {};
}

net::Task<void> ReactorService::refuse(net::Exchange& exchange, std::string_view request_id, const Error& error, const CallerLimits& limits) {
  cascade::Decision nothing;
  nothing.request_id = request_id;
  nothing.retry_is_useless = error.kind == ErrorKind::kConflict || error.kind == ErrorKind::kInvalidRequest;
  DecisionFields fields;
  fields.render(nothing, false, "application/json", limits);
  co_return co_await exchange.respond_error(error, fields.fields().subspan(1));   // the server states the type of its own errors
}

net::Task<void> ReactorService::models(net::Exchange& exchange, std::string_view raw_id, std::span<const net::Field> json_fields) {
  const auto id_field = json_fields.first(1);  // the server states the type of its own errors
  const std::string id = net::percent_decoded(raw_id);
  const auto keys = snapshot_.keys;
  if (auto caller = authenticate(exchange.head(), *keys, reactor_.clock()); !caller) co_return co_await exchange.respond_error(caller.error(), id_field);
  const auto names = model_names(*snapshot_.policy, shared_->options.encoder.get());
  const std::int64_t created = shared_->started.us / 1'000'000;
  std::string body;
  JsonWriter w(body);
  if (id.empty()) {
    w.begin_object().field("object", "list").key("data").begin_array();
    for (const std::string_view name : names) write_model(w, name, created);
    w.end_array().end_object();
  } else {
    if (std::find(names.begin(), names.end(), id) == names.end()) {
      const Error error(ErrorKind::kModelNotFound, fmt::format("There is no model '{}'; GET /v1/models lists them.", id.substr(0, 200)), "model");
      co_return co_await exchange.respond_error(error, id_field);
    }
    write_model(w, id, created);
  }
  co_return co_await exchange.respond(200, json_fields, body);
}

net::Awaitable<void> ReactorService::shut_down() {
  background_.cancel();
  co_await background_.wait();
  co_await engine_.shut_down(shared_->options.label_grace_ms);
  engine_.set_runtime(nullptr);
}

}  // namespace understudy::gateway::internal
