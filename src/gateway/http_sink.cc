#include "gateway/http_sink.h"

#include <fmt/format.h>

#include "base/assert.h"
#include "base/json_writer.h"
#include "base/money.h"
#include "net/sse.h"

namespace understudy::gateway {
namespace {

constexpr std::string_view kJson = "application/json";

std::string four_decimals(std::optional<double> value) {
  if (!value) return "none";
  std::string text;
  append_fixed(text, *value, 4);
  return text;
}

std::string money(std::optional<Picousd> amount, bool estimated) {
  if (!amount) return "unknown";
  return (estimated ? "~" : "") + format_usd(*amount, 12);
}

}  // namespace

void DecisionFields::add(std::string_view name, std::string_view value) {
  UNDERSTUDY_ASSERT(count_ < kMaxFields);
  const auto begin = static_cast<std::uint32_t>(text_.size());
  text_.append(value);
  places_[count_++] = {name, begin, static_cast<std::uint32_t>(text_.size())};
}

void DecisionFields::add_limit(const std::optional<RateState>& state, std::string_view limit, std::string_view remaining, std::string_view reset) {
  if (!state) return;
  add(limit, std::to_string(state->limit));
  add(remaining, std::to_string(state->remaining));
  add(reset, rate_reset_text(state->reset_ms));
}

void DecisionFields::render(const cascade::Decision& decision, bool decided, std::string_view content_type, const CallerLimits& limits) {
  text_.clear();
  text_.reserve(512);
  count_ = 0;
  add("content-type", content_type);
  if (content_type == kEventStream) add("cache-control", "no-cache");
  add("x-request-id", decision.request_id);
  add_limit(limits.requests, "x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests");
  add_limit(limits.tokens, "x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens");
  if (!decision.task.empty()) add("x-understudy-task", decision.task);
  if (decided) {
    if (decision.served_by == Stage::kSpecialist) {
      add("x-understudy-served-by", fmt::format("specialist:{}", decision.model));
    } else if (decision.served_by) {
      add("x-understudy-served-by", stage_name(*decision.served_by));
    }
    if (!decision.model.empty()) add("x-understudy-model", decision.model);
    add("x-understudy-confidence", four_decimals(decision.confidence));
    add("x-understudy-threshold", four_decimals(decision.threshold));
    add("x-understudy-escalated", decision.escalated ? "1" : "0");
    if (!decision.reason.empty()) add("x-understudy-reason", decision.reason);
    if (content_type != kEventStream || decision.cost_final) {
      const std::string cost = money(decision.cost, decision.cost_estimated);
      add("x-understudy-cost-usd", cost);
      add("x-understudy-saved-usd", money(decision.saved(), decision.saved_estimated()));
      if (decision.cost) add("x-litellm-response-cost", std::string_view(cost).substr(decision.cost_estimated ? 1 : 0));
    }
    add("x-understudy-overhead-us", std::to_string(decision.overhead_us));
    if (decision.retry_after_ms) {
      add("retry-after-ms", std::to_string(*decision.retry_after_ms));
      add("retry-after", std::to_string((*decision.retry_after_ms + 999) / 1000));
    }
    if (!decision.debug.empty()) add("x-understudy-debug", decision.debug);
  }
  if (decision.retry_is_useless) add("x-should-retry", "false");
  const std::string_view text = text_;
  for (std::size_t i = 0; i < count_; ++i) fields_[i] = {places_[i].name, text.substr(places_[i].begin, places_[i].end - places_[i].begin)};
}

net::Task<void> HttpSink::reply(const cascade::Decision& decision, int status, std::span<const std::string_view> body) {
  DecisionFields fields;
  fields.render(decision, true, kJson, limits_);
  co_return co_await exchange_.respond(status, fields.fields(), body);
}

net::Task<void> HttpSink::fail(const cascade::Decision& decision, const Error& error) {
  cascade::Decision told = decision;
  told.retry_is_useless = error.kind == ErrorKind::kInvalidRequest || error.kind == ErrorKind::kBudgetExceeded;
  told.retry_after_ms.reset();  // the server writes the error's own
  DecisionFields fields;
  fields.render(told, true, kJson, limits_);
  // The server states the type of its own error bodies.
  co_return co_await exchange_.respond_error(error, fields.fields().subspan(1));
}

void HttpSink::settled(const cascade::Decision& decision) {
  if (limits_.token_meter) limits_.token_meter->charge(exchange_.reactor().now(), decision.tokens - limits_.tokens_taken);
}

void HttpSink::expect_stream(const cascade::Decision& undecided) {
  exchange_.heartbeat(heartbeat_ms_, [this, &undecided]() -> std::string_view {
    if (!begun_) {
      begun_ = true;
      DecisionFields fields;
      fields.render(undecided, false, kEventStream, limits_);
      exchange_.start_stream(200, fields.fields());
    }
    return net::kSseHeartbeat;
  });
}

void HttpSink::begin_stream(const cascade::Decision& decision) {
  if (begun_) return;
  begun_ = true;
  DecisionFields fields;
  fields.render(decision, true, kEventStream, limits_);
  exchange_.start_stream(200, fields.fields());
}

}  // namespace understudy::gateway
