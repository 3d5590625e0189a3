// POST /v1/classify: a specialist's answers about texts.

#include <algorithm>
#include <array>
#include <functional>

#include "gateway/internal/callers.h"
#include "gateway/internal/inference_json.h"
#include "gateway/internal/service.h"
#include "specialists/intent_specialist.h"

namespace understudy::gateway::internal {
namespace {

/// More text than this (about half a millisecond of work) is read on a thread of its own, while the reactor serves others.
constexpr std::size_t kMostHere = 4'096;

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
  if (total_bytes(request->texts) <= kMostHere) {
    predict_all(intent, request->texts, predictions);
  } else {
    std::function<void()> work = [&intent, &request, &predictions] { predict_all(intent, request->texts, predictions); };
    if (auto done = co_await run_aside(std::move(work)); !done) co_return co_await exchange.respond_error(done.error(), id_field);
  }
  const std::string body = classify_json(**specialist, *request, predictions);
  const std::string served_by = "specialist:" + (*specialist)->name;
  const std::string overhead = std::to_string((reactor_.clock().mono().ns - exchange.started().ns) / 1'000);
  const std::array<net::Field, 6> fields{json_fields[0], json_fields[1], net::Field("x-understudy-served-by", served_by), net::Field("x-understudy-model", (*specialist)->name),
                                         net::Field("x-understudy-cost-usd", "0"), net::Field("x-understudy-overhead-us", overhead)};
  co_return co_await exchange.respond(200, fields, body);
}

}  // namespace understudy::gateway::internal
