// POST /v1/score: how well two texts go together, how good a response is, or which of two is better: by a reranker, a judge, or the encoder's cosines.

#include <functional>

#include "gateway/internal/callers.h"
#include "gateway/internal/inference_json.h"
#include "gateway/internal/pair_models.h"
#include "gateway/internal/service.h"

namespace understudy::gateway::internal {
namespace {

/// Words alone of so many bytes take some tenths of a millisecond: on the reactor. The shortest pair counts like one of kLeast bytes.
constexpr std::size_t kMostHere = 4'096, kLeast = 64;

std::size_t bytes_of(const chat::ScoreRequest& request) {
  std::size_t bytes = kLeast * request.pairs();
  for (std::size_t i = 0; i < request.pairs(); ++i) bytes += request.first_of(i).size() + request.second[i].size();
  for (const std::string& text : request.third) bytes += text.size();
  return bytes;
}

/// Tokens that the encoder reads of the texts, where it is what answers.
std::optional<std::int64_t> tokens_read(const PairModel& model, const specialists::ScorePool& pool, const chat::ScoreRequest& request) {
  if (model.specialist) return std::nullopt;
  const neural::TextEncoder& encoder = *pool.encoder();
  std::int64_t tokens = 0;
  for (const auto* texts : {&request.first, &request.second}) {
    for (const std::string& text : *texts) tokens += static_cast<std::int64_t>(encoder.tokenizer().encode(text, encoder.max_tokens()).ids.size());
  }
  return tokens;
}

}  // namespace

net::Task<void> ReactorService::score(net::Exchange& exchange, std::span<const net::Field> json_fields) {
  const auto id_field = json_fields.first(1);
  const auto keys = snapshot_.keys;
  const auto policy = snapshot_.policy;   // a reload leaves this request its specialist
  if (auto caller = authenticate(exchange.head(), *keys, reactor_.clock()); !caller) co_return co_await exchange.respond_error(caller.error(), id_field);
  const auto request = chat::parse_score_request(exchange.body());
  if (!request) co_return co_await exchange.respond_error(request.error(), id_field);
  const auto model = find_scorer(*policy, *request, shared_->options.encoder.get());
  if (!model) co_return co_await exchange.respond_error(model.error(), id_field);
  PairReply reply;
  reply.served_by = model->served_by();
  reply.model = model->name();
  const std::function<Result<void>(std::stop_token)> work = [&](std::stop_token stop) -> Result<void> {
    if (model->specialist && model->specialist->answer_judge) {
      const auto said = answer_judgements(*model->specialist, shared_->scores, *request, std::move(stop));
      if (!said) return fail(said.error());
      reply.body = judgements_json(*model->specialist, *request, *said);
      return {};
    }
    const auto scores = pair_scores(*model, shared_->scores, *request, std::move(stop));
    if (!scores) return fail(scores.error());
    reply.body = scores_json(model->specialist.get(), *request, *scores, tokens_read(*model, shared_->scores, *request));
    return {};
  };
  const bool little = model->words_alone(shared_->scores) && bytes_of(*request) <= kMostHere;
  if (auto done = co_await run_scoring(exchange, little, work); !done) co_return co_await exchange.respond_error(done.error(), id_field);
  shared_->pair_counters.scores.fetch_add(1, std::memory_order_relaxed);
  shared_->pair_counters.pairs.fetch_add(request->pairs(), std::memory_order_relaxed);
  co_return co_await respond_pairs(exchange, reply, json_fields);
}

}  // namespace understudy::gateway::internal
