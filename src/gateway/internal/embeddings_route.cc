// POST /v1/embeddings: vectors of our own encoder, or of an upstream's.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>

#include "base/nearest.h"
#include "cascade/attempt.h"
#include "chat/splice.h"
#include "gateway/internal/aside.h"
#include "gateway/internal/callers.h"
#include "gateway/internal/embed_texts.h"
#include "gateway/internal/inference_json.h"
#include "gateway/internal/service.h"

namespace understudy::gateway::internal {
namespace {

/// Numbers written as text on the reactor; beyond, on a thread of its own.
constexpr std::size_t kMostNumbersHere = 16'384;
constexpr int kMostAside = 8;   ///< of all reactors
constexpr std::size_t kMostReply = std::size_t{64} << 20;

/// Tokens that the encoder reads of the texts.
std::int64_t tokens_read(const neural::TextEncoder& encoder, std::span<const std::string> texts) {
  std::int64_t tokens = 0;
  for (const std::string& text : texts) tokens += static_cast<std::int64_t>(encoder.tokenizer().encode(text, encoder.max_tokens()).ids.size());
  return tokens;
}

/// The configured model whose upstream is asked, and under which name it knows what the client asked for.
struct Upstream {
  std::size_t model = 0;
  std::string name;
};

Result<Upstream> upstream_of(const cascade::Policy& policy, std::string_view requested) {
  for (std::size_t i = 0; i < policy.models.size(); ++i) {
    if (policy.models[i].config.name == requested) return Upstream{i, policy.models[i].config.upstream_model};
  }
  if (requested.empty()) return fail(ErrorKind::kInvalidRequest, "Field 'model' is missing: understudy/encoder, a configured model, or a name that the teacher's upstream knows.", "model");
  if (policy.unknown_model == cascade::UnknownModel::kError) {
    std::vector<std::string_view> names{"understudy/encoder"};
    for (const auto& model : policy.models) names.push_back(model.config.name);
    return fail(ErrorKind::kModelNotFound, fmt::format("There is no model '{}'{}.", requested.substr(0, 200), did_you_mean(requested, names)), "model");
  }
  return Upstream{policy.cascades.front().teacher, std::string(requested)};
}

}  // namespace

net::Task<void> ReactorService::run_work(bool little, std::function<void()> work) {
  if (little) {
    work();
    co_return Result<void>();
  }
  if (shared_->work_aside.fetch_add(1) >= kMostAside) {
    shared_->work_aside.fetch_sub(1);
    Error error(ErrorKind::kOverloaded, "Too many large requests about texts are being answered; try again in a moment, or send fewer texts at once.");
    error.retry_after_ms = 1'000;
    co_return fail(std::move(error));
  }
  Aside aside(reactor_, std::move(work));
  [[maybe_unused]] const bool ended = co_await aside.done();
  aside.join();
  shared_->work_aside.fetch_sub(1);
  co_return Result<void>();
}

net::Task<void> ReactorService::embeddings(net::Exchange& exchange, std::span<const net::Field> json_fields) {
  const auto id_field = json_fields.first(1);
  const auto keys = snapshot_.keys;
  auto caller = authenticate(exchange.head(), *keys, reactor_.clock());
  if (!caller) co_return co_await exchange.respond_error(caller.error(), id_field);
  const auto request = chat::parse_embeddings_request(exchange.body());
  if (!request) co_return co_await exchange.respond_error(request.error(), id_field);
  const std::shared_ptr<neural::EncoderPool> pool = shared_->options.encoder;
  if (!names_encoder(pool.get(), request->model)) co_return co_await forward_embeddings(exchange, request->model, *caller, json_fields);
  if (!pool) {
    const Error error = no_encoder("The model 'understudy/encoder'");
    co_return co_await exchange.respond_error(error, id_field);
  }
  const neural::TextEncoder& encoder = pool->encoder();
  const std::size_t dimension = encoder.dimension();
  std::optional<Error> refused;
  if (request->tokens) refused = Error(ErrorKind::kInvalidRequest, "This model takes texts; tokens of another model's tokenizer mean nothing to it.", "input");
  if (request->dimensions && *request->dimensions != static_cast<std::int64_t>(dimension)) {
    refused = Error(ErrorKind::kInvalidRequest, fmt::format("This model's vectors have {} dimensions and cannot be shortened; leave 'dimensions' out.", dimension), "dimensions");
  }
  if (refused) co_return co_await exchange.respond_error(*refused, id_field);
  const auto vectors = co_await embed_texts(*pool, request->texts, reactor_, exchange.gone());
  if (!vectors) co_return co_await exchange.respond_error(vectors.error(), id_field);
  const std::string_view model = request->model.empty() ? std::string_view("understudy/encoder") : std::string_view(request->model);
  std::string body;
  std::function<void()> write = [&] { body = embeddings_json(model, *vectors, dimension, request->base64, tokens_read(encoder, request->texts)); };
  if (auto done = co_await run_work(vectors->size() <= kMostNumbersHere, std::move(write)); !done) co_return co_await exchange.respond_error(done.error(), id_field);
  const std::array<net::Field, 5> fields{json_fields[0], json_fields[1], net::Field("x-understudy-served-by", "encoder"), net::Field("x-understudy-model", pool->identity().model),
                                         net::Field("x-understudy-cost-usd", "0")};
  co_return co_await exchange.respond(200, fields, body);
}

net::Task<void> ReactorService::forward_embeddings(net::Exchange& exchange, std::string_view model, const Caller& caller, std::span<const net::Field> json_fields) {
  const auto id_field = json_fields.first(1);
  const auto runtime = engine_.runtime();   // a reload leaves this request its upstream
  const cascade::Policy& policy = *runtime->policy;
  const auto upstream = upstream_of(policy, model);
  if (!upstream) co_return co_await exchange.respond_error(upstream.error(), id_field);
  const providers::ModelConfig& config = policy.models[upstream->model].config;
  const bool renamed = upstream->name != model;
  const std::string renamed_body = renamed ? chat::with_model(exchange.body(), upstream->name) : std::string();
  const std::array<std::string_view, 1> pieces{renamed ? std::string_view(renamed_body) : exchange.body()};
  // Vectors are paid by what goes in. What they really cost is not looked for: under a budget they count at their upper bound.
  const SpendSubject payer{caller.key != nullptr ? std::string_view(caller.key->name) : std::string_view(), {}, config.name};
  BudgetHold hold;
  if (purse_.on()) {
    const WallTime now = reactor_.clock().wall();
    auto reserved = purse_.reserve(payer, policy.models[upstream->model].most(*policy.prices, static_cast<std::int64_t>(pieces.front().size()), 0, now), now);
    if (!reserved) {
      std::array<net::Field, 2> refused{json_fields[0], net::Field("x-should-retry", "false")};
      co_return co_await exchange.respond_error(reserved.error(), std::span(refused).first(reserved.error().kind == ErrorKind::kBudgetExceeded ? 2 : 1));
    }
    hold = *reserved;
  }
  providers::ChatCall call;
  call.path = "/embeddings";
  call.body = pieces;
  call.client_key = caller.presented;
  call.request_id = json_fields.front().value;
  call.traceparent = exchange.head().find("traceparent").value_or("");
  call.cancel = exchange.gone();
  cascade::Attempt attempt;
  auto reply = co_await runtime->providers[upstream->model]->chat(call);
  if (reply) {
    attempt.reply = std::move(*reply);
    attempt.status = attempt.reply->status();
    auto body = co_await attempt.reply->body(kMostReply);
    if (body) {
      attempt.body = *body;
    } else {
      attempt.error = std::move(body.error());
    }
  } else {
    attempt.error = std::move(reply.error());
  }
  if (attempt.status != 200 && attempt.status != 0) purse_.settle(payer, hold, Picousd{0});
  if (!attempt.ok() && !cascade::passes_through(attempt, config.key_from_client)) {
    Error error = cascade::client_error(attempt, config.name, config.key_from_client);
    if (error.kind == ErrorKind::kUnsupported) error = Error(ErrorKind::kModelNotFound, error.message + "; name understudy/encoder, or a model behind HTTP", "model");
    co_return co_await exchange.respond_error(error, id_field);
  }
  const std::array<net::Field, 4> fields{json_fields[0], json_fields[1], net::Field("x-understudy-served-by", "upstream"), net::Field("x-understudy-model", config.name)};
  co_return co_await exchange.respond(attempt.status, fields, attempt.body);
}

}  // namespace understudy::gateway::internal
