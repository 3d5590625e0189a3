// POST /v1/classify: a specialist's answers about texts.

#include <algorithm>
#include <array>
#include <functional>

#include "gateway/internal/callers.h"
#include "gateway/internal/embed_texts.h"
#include "gateway/internal/inference_json.h"
#include "gateway/internal/service.h"
#include "specialists/intent_specialist.h"

namespace understudy::gateway::internal {
namespace {

/// More text than this (about half a millisecond of work) is read on a thread of its own, while the reactor serves others.
constexpr std::size_t kMostHere = 4'096;
constexpr std::size_t kMostScoresHere = 2'048;   ///< to be written

std::size_t total_bytes(const std::vector<std::string>& texts) {
  std::size_t bytes = 0;
  for (const std::string& text : texts) bytes += text.size();
  return bytes;
}

void predict_all(const specialists::IntentSpecialist& intent, const std::vector<std::string>& texts, std::vector<specialists::IntentPrediction>& out) {
  out.reserve(texts.size());
  for (const std::string& text : texts) out.push_back(intent.predict(text));
}

}  // namespace

net::Awaitable<std::vector<std::vector<float>>> ReactorService::ask_by_vector(const specialists::IntentSpecialist& intent, const std::vector<std::string>& texts,
                                                                             std::vector<specialists::IntentPrediction>& predictions, net::CancelToken gone) {
  std::vector<std::vector<float>> by_text;
  std::vector<std::size_t> unsure;
  std::vector<std::string> asked;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (!intent.wants_vector(predictions[i])) continue;
    unsure.push_back(i);
    asked.push_back(texts[i]);
  }
  if (unsure.empty()) co_return by_text;
  const auto pool = shared_->options.encoder;
  const auto vectors = co_await embed_texts(*pool, asked, reactor_, gone);
  if (!vectors) co_return by_text;   // too much waits: the words' answers are calibrated, too
  by_text.resize(texts.size());
  const std::size_t dimension = pool->encoder().dimension();
  for (std::size_t k = 0; k < unsure.size(); ++k) {
    const auto row = std::span<const float>(*vectors).subspan(k * dimension, dimension);
    by_text[unsure[k]].assign(row.begin(), row.end());
    predictions[unsure[k]] = intent.predict(asked[k], row);
    if (k % 64 == 63 || asked[k].size() > kMostHere) co_await net::yield(reactor_);
  }
  co_return by_text;
}

net::Task<void> ReactorService::classify(net::Exchange& exchange, std::span<const net::Field> json_fields) {
  const auto id_field = json_fields.first(1);
  const auto keys = snapshot_.keys;
  const auto policy = snapshot_.policy;   // a reload leaves this request its specialist
  if (auto caller = authenticate(exchange.head(), *keys, reactor_.clock()); !caller) co_return co_await exchange.respond_error(caller.error(), id_field);
  const auto request = chat::parse_classify_request(exchange.body());
  if (!request) co_return co_await exchange.respond_error(request.error(), id_field);
  const auto specialist = find_specialist(policy->registry(), request->model, "/v1/classify");
  if (!specialist) co_return co_await exchange.respond_error(specialist.error(), id_field);
  std::vector<specialists::IntentPrediction> predictions;
  const specialists::IntentSpecialist& intent = *(*specialist)->intent;
  const bool little = total_bytes(request->texts) <= kMostHere && request->texts.size() * intent.labels().size() <= kMostScoresHere;
  std::function<void()> predict = [&intent, &request, &predictions] { predict_all(intent, request->texts, predictions); };
  if (auto done = co_await run_work(little, std::move(predict)); !done) co_return co_await exchange.respond_error(done.error(), id_field);
  std::vector<std::vector<float>> vectors;
  const auto& pool = shared_->options.encoder;
  if (pool && (*specialist)->fits(pool->identity())) vectors = co_await ask_by_vector(intent, request->texts, predictions, exchange.gone());
  std::string body;
  std::function<void()> write = [&body, &specialist, &request, &predictions, &vectors] { body = classify_json(**specialist, *request, predictions, vectors); };
  if (auto done = co_await run_work(little, std::move(write)); !done) co_return co_await exchange.respond_error(done.error(), id_field);
  const std::string served_by = "specialist:" + (*specialist)->name;
  const std::string overhead = std::to_string((reactor_.clock().mono().ns - exchange.started().ns) / 1'000);
  const std::array<net::Field, 6> fields{json_fields[0], json_fields[1], net::Field("x-understudy-served-by", served_by), net::Field("x-understudy-model", (*specialist)->name),
                                         net::Field("x-understudy-cost-usd", "0"), net::Field("x-understudy-overhead-us", overhead)};
  co_return co_await exchange.respond(200, fields, body);
}

}  // namespace understudy::gateway::internal
