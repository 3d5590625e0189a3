// POST /v1/score: how well two texts go together.

#include <fmt/format.h>

#include <array>
#include <unordered_map>

#include "gateway/internal/callers.h"
#include "gateway/internal/embed_texts.h"
#include "gateway/internal/inference_json.h"
#include "gateway/internal/service.h"

namespace understudy::gateway::internal {
namespace {

Error no_scorer(const specialists::Registry& registry, std::string_view model) {
  if (const auto other = registry.find(model)) {
    return Error(ErrorKind::kInvalidRequest,
                 fmt::format("The specialist '{}' is of kind {}: it answers /v1/classify. /v1/score needs one of kind judge or rerank, which this version cannot train yet, or understudy/encoder for plain cosines.",
                             other->name, other->kind),
                 "model");
  }
  return Error(ErrorKind::kModelNotFound,
               fmt::format("There is no model '{}' for /v1/score: it needs a specialist of kind judge or rerank, which this version cannot train yet, or understudy/encoder for plain cosines.", model.substr(0, 200)),
               "model");
}

}  // namespace

net::Task<void> ReactorService::score(net::Exchange& exchange, std::span<const net::Field> json_fields) {
  const auto id_field = json_fields.first(1);
  const auto keys = snapshot_.keys;
  const auto policy = snapshot_.policy;
  if (auto caller = authenticate(exchange.head(), *keys, reactor_.clock()); !caller) co_return co_await exchange.respond_error(caller.error(), id_field);
  const auto request = chat::parse_score_request(exchange.body());
  if (!request) co_return co_await exchange.respond_error(request.error(), id_field);
  const std::shared_ptr<neural::EncoderPool> pool = shared_->options.encoder;
  std::optional<Error> refused;
  if (request->model.empty() || !names_encoder(pool.get(), request->model)) {
    refused = no_scorer(policy->registry(), request->model);
  } else if (!pool) {
    refused = no_encoder("The model 'understudy/encoder'");
  }
  if (refused) co_return co_await exchange.respond_error(*refused, id_field);

  // Each text once, however many pairs it is in.
  std::vector<std::string> texts;
  std::unordered_map<std::string_view, std::size_t> place;
  const auto place_of = [&](const std::string& text) {
    const auto [found, fresh] = place.try_emplace(text, texts.size());
    if (fresh) texts.push_back(text);
    return found->second;
  };
  std::vector<std::pair<std::size_t, std::size_t>> pairs;
  for (std::size_t i = 0; i < request->pairs(); ++i) {
    const std::size_t a = place_of(request->first_of(i)), b = place_of(request->second[i]);
    pairs.emplace_back(a, b);
  }
  const auto vectors = co_await embed_texts(*pool, texts, reactor_, exchange.gone());
  if (!vectors) co_return co_await exchange.respond_error(vectors.error(), id_field);
  const std::size_t dimension = pool->encoder().dimension();
  std::vector<double> cosines;
  std::int64_t tokens = 0;
  for (const auto& [a, b] : pairs) {
    double sum = 0;
    for (std::size_t i = 0; i < dimension; ++i) sum += double((*vectors)[a * dimension + i]) * double((*vectors)[b * dimension + i]);
    cosines.push_back(sum);
  }
  for (const std::string& text : texts) tokens += static_cast<std::int64_t>(pool->encoder().tokenizer().encode(text, pool->encoder().max_tokens()).ids.size());
  const std::string body = cosines_json(request->model, cosines, tokens);
  const std::array<net::Field, 4> fields{json_fields[0], json_fields[1], net::Field("x-understudy-served-by", "encoder"), net::Field("x-understudy-cost-usd", "0")};
  co_return co_await exchange.respond(200, fields, body);
}

}  // namespace understudy::gateway::internal
