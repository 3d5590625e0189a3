#include "cascade/internal/call_model.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <limits>

#include "base/json_writer.h"
#include "base/log.h"

namespace understudy::cascade::internal {
namespace {

constexpr std::size_t kMaxReplyBytes = std::size_t{64} << 20;
constexpr std::size_t kMaxErrorBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxHeldBytes = std::size_t{8} << 20;

/// Whether to ask this stage for logprobs: cheap stages only, and only where the probe has not found that they never come.
bool asks_logprobs(const Attempt& attempt, const PricedModel& model) {
  return attempt.stage == Stage::kStudent && model.config.state->logprobs.load(std::memory_order_relaxed) != providers::LogprobSupport::kNone;
}

void add_confidence(const CallSubject& subject, Attempt& attempt, const chat::LogprobSeries& series) {
  if (attempt.stage != Stage::kStudent || !series.present) return;
  calibration::LogprobAccumulator& accumulator = subject.accumulator;
  accumulator.reset();
  std::size_t next = 0;
  for (std::size_t i = 0; i < series.chosen.size(); ++i) {
    const std::size_t count = series.per_token[i];
    accumulator.add(series.chosen[i], std::span(series.alternatives.data() + next, count));
    next += count;
  }
  attempt.features = accumulator.finish();
  if (!attempt.features) return;
  attempt.confidence = subject.runtime.policy->confidence->confidence(*attempt.features);
  attempt.raw_confidence = attempt.confidence.value_or(0);
  if (!attempt.confidence) attempt.features.reset();
}

SpendSubject payer_of(const CallSubject& subject, const PricedModel& model) { return {subject.payer.key, subject.payer.task, model.config.name}; }

/// The attempt's cost is known as far as it ever will be: in the place of what was set aside. What is not known stays set aside.
void settle(const CallSubject& subject, Attempt& attempt) {
  if (!attempt.hold) return;
  const BudgetHold hold = *std::exchange(attempt.hold, std::nullopt);
  if (!attempt.cost) return;
  if (subject.cap != nullptr) subject.cap->spent = subject.cap->spent + *attempt.cost - hold.amount;
  if (subject.deps.purse != nullptr) subject.deps.purse->settle(payer_of(subject, subject.runtime.policy->models[attempt.model]), hold, *attempt.cost);
}

void add_cost(const CallSubject& subject, Attempt& attempt) {
  if (attempt.usage) {
    attempt.cost = subject.runtime.policy->models[attempt.model].cost(*subject.runtime.policy->prices, *attempt.usage, subject.deps.reactor.clock().wall());
  } else if (!attempt.ok() && attempt.status != 200) {
    attempt.cost = Picousd{0};  // refused before any token was made
  }
  settle(subject, attempt);
}

/// An upstream that had the request and then was left, or left us, without a word has read it and will charge for that.
bool was_read_in_vain(const Attempt& attempt) {
  if (attempt.reply || !attempt.error || !attempt.pass) return false;
  return attempt.error->kind == ErrorKind::kCancelled || attempt.error->kind == ErrorKind::kUpstreamTimeout || attempt.error->kind == ErrorKind::kUpstreamProtocol;
}

/// Whether the model may be called; where not, the attempt says why.
bool admit(const CallSubject& subject, Attempt& attempt, const PricedModel& model) {
  const MonoTime now = subject.deps.reactor.now();
  if (earlier(subject.deadline, subject.client_deadline).passed(now)) {
    attempt.error = Error(ErrorKind::kUpstreamTimeout, "the request's time was over before it could be asked");
    return false;
  }
  providers::Breaker& breaker = model.config.state->breaker;
  attempt.pass = breaker.admit(now);
  if (attempt.pass) return true;
  const std::int64_t rest_ms = std::max<std::int64_t>(1, breaker.rest_ms(now));
  attempt.error = Error(ErrorKind::kCircuitOpen, fmt::format("it has failed again and again and is not asked for the next {} ms", rest_ms));
  attempt.error->retry_after_ms = rest_ms;
  return false;
}

void count_attempt(const CallSubject& subject, const Attempt& attempt) {
  const auto stage = static_cast<std::size_t>(attempt.stage);
  subject.deps.counters.attempts[stage].fetch_add(1, std::memory_order_relaxed);
  if (!attempt.ok() && !attempt.cut_short) subject.deps.counters.attempt_errors[stage].fetch_add(1, std::memory_order_relaxed);
}

std::optional<chat::Span> last_field(const chat::ChatRequest& request, std::string_view key) {
  for (auto field = request.fields.rbegin(); field != request.fields.rend(); ++field) {
    if (field->key == key) return field->value;
  }
  return std::nullopt;
}

/// NaN where the text is no JSON number.
double number_in(std::string_view text) {
  double value = std::numeric_limits<double>::quiet_NaN();
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

/// Tokens that the answer may have at most: what the request allows, for each of its choices, else what is configured for the model.
std::int64_t most_output(const CallSubject& subject, const PricedModel& model) {
  if (subject.most_output) return *subject.most_output;
  std::int64_t most = 0;
  for (const std::string_view field : {"max_tokens", "max_completion_tokens"}) {
    const auto place = last_field(subject.request, field);
    const double number = place ? number_in(place->in(subject.body)) : 0;
    if (number >= 1) most = std::max(most, static_cast<std::int64_t>(std::min(number, 1e9)));
  }
  if (most == 0) most = model.max_output_tokens;
  return most * std::clamp<std::int64_t>(subject.request.n, 1, 1'000);
}

/// Sets aside what the call can cost at most, where anything limits that. False: it may not be made, and the attempt says why.
/// @param bytes  of the request: no tokenizer makes more tokens than that, and the JSON around a message is more than models add to one
bool set_aside(const CallSubject& subject, Attempt& attempt, const PricedModel& model, std::size_t bytes) {
  const bool budgets = subject.deps.purse != nullptr && subject.deps.purse->on();
  const bool capped = subject.cap != nullptr && subject.cap->limit;
  if (!budgets && !capped) return true;
  const WallTime now = subject.deps.reactor.clock().wall();
  const auto most = model.most(*subject.runtime.policy->prices, static_cast<std::int64_t>(bytes), most_output(subject, model), now);
  if (capped && (!most || subject.cap->spent + *most > *subject.cap->limit)) {
    attempt.error = Error(ErrorKind::kBudgetExceeded,
                          fmt::format("x-understudy-max-cost-usd ({}) does not allow a call of model '{}', which may cost {}{}.", format_usd(*subject.cap->limit, 6), model.config.name,
                                      most ? "up to " + format_usd(*most, 6) + " USD" : "nobody knows how much: its price is not known",
                                      subject.cap->spent.value > 0 ? fmt::format(", beside the {} USD spent already", format_usd(subject.cap->spent, 6)) : ""),
                          "x-understudy-max-cost-usd");
    return false;
  }
  BudgetHold hold;
  hold.amount = most.value_or(Picousd{});
  if (budgets) {
    auto reserved = subject.deps.purse->reserve(payer_of(subject, model), most, now);
    if (!reserved) {
      attempt.error = std::move(reserved.error());
      return false;
    }
    hold = *reserved;
  }
  if (subject.cap != nullptr) subject.cap->spent = subject.cap->spent + hold.amount;
  attempt.hold = hold;
  return true;
}

net::Awaitable<void> read_plain(const CallSubject& subject, Attempt& attempt) {
  auto body = co_await attempt.reply->body(attempt.status == 200 ? kMaxReplyBytes : kMaxErrorBytes);
  if (!body) {
    attempt.error = std::move(body.error());
    co_return;
  }
  attempt.body = *body;
  if (attempt.status != 200) co_return;
  auto completion = chat::parse_completion(attempt.body, &subject.series);
  if (!completion) {
    attempt.error = std::move(completion.error());
    co_return;
  }
  attempt.completion = std::move(*completion);
  attempt.usage = attempt.completion.tokens;
  if (!attempt.usage) attempt.usage = estimate_usage(subject.body, attempt.completion.message.in(attempt.body));
  add_confidence(subject, attempt, subject.series);
}

net::Awaitable<void> collect(const CallSubject& subject, Attempt& attempt) {
  chat::StreamAssembler assembler;
  bool done = false;
  while (!done) {
    auto event = co_await attempt.reply->next_event();
    if (!event) {
      attempt.error = std::move(event.error());
      break;
    }
    if (!*event) {
      if (!assembler.finished()) attempt.error = Error(ErrorKind::kUpstreamProtocol, "The upstream's stream ended in the middle of its answer.");
      break;
    }
    if (**event == "[DONE]") {
      done = true;
      if (!assembler.finished()) attempt.error = Error(ErrorKind::kUpstreamProtocol, "The upstream's stream ended without a finish reason.");
    } else if (auto chunk = assembler.add(**event, subject.request.logprobs); !chunk) {
      attempt.error = std::move(chunk.error());
      break;
    } else if (assembler.bytes() > kMaxHeldBytes) {
      attempt.error = Error(ErrorKind::kUpstreamProtocol, fmt::format("The upstream's answer is over {} bytes.", kMaxHeldBytes));
      break;
    } else if (subject.early != nullptr && !assembler.finished() && subject.early->hopeless(assembler.logprobs())) {
      attempt.cut_short = true;
      break;
    }
  }
  finish_stream(subject, attempt, assembler);
  if (!attempt.cut_short) co_return;
  attempt.reply.reset();   // ends the call
  subject.deps.counters.early_rejects.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

UpstreamBody::UpstreamBody(const chat::ChatRequest& request, std::string_view body, std::string_view upstream_model, Delivery delivery,
                           bool ask_logprobs, int top_logprobs, std::optional<int> sample) {
  append_json_string(model_, upstream_model);
  chat::Splice splice(body);
  const bool stream = delivery != Delivery::kPlain;
  if (ask_logprobs && !request.logprobs) {
    top_logprobs_ = std::to_string(top_logprobs);
    if (request.logprobs_span.present()) {
      splice.replace(request.logprobs_span, "true");
    } else {
      inserted_ += "\"logprobs\":true,";
    }
    if (request.top_logprobs_span.present()) {
      splice.replace(request.top_logprobs_span, top_logprobs_);
    } else {
      inserted_ += fmt::format("\"top_logprobs\":{},", top_logprobs_);
    }
  }
  if (stream != request.stream) {
    // Only off-path calls differ from the client's delivery; the field is there, for the client set it.
    splice.replace(request.stream_span, stream ? "true" : "false");
    if (!stream && request.stream_options_span.present()) splice.replace(request.stream_options_span, "null");
  } else if (stream && !request.include_usage) {
    if (request.include_usage_span.present()) {
      splice.replace(request.include_usage_span, "true");
    } else if (request.stream_options_insert_at > 0) {
      splice.insert(request.stream_options_insert_at, request.stream_options_empty ? "\"include_usage\":true" : "\"include_usage\":true,");
    } else if (request.stream_options_span.present()) {
      splice.replace(request.stream_options_span, "{\"include_usage\":true}");
    } else {
      inserted_ += "\"stream_options\":{\"include_usage\":true},";
    }
  }
  if (sample) {
    // Asked again at temperature 0 or with the same seed it would say the same again.
    const auto temperature = last_field(request, "temperature");
    if (!temperature) {
      inserted_ += "\"temperature\":1,";
    } else if (!(number_in(temperature->in(body)) > 0)) {
      splice.replace(*temperature, "1");
    }
    if (const auto seed = last_field(request, "seed"); seed && !seed->in(body).starts_with("null")) {
      const double given = number_in(seed->in(body));
      seed_ = std::abs(given) < 1e9 ? std::to_string(static_cast<std::int64_t>(given) + 1 + *sample) : "null";
      splice.replace(*seed, seed_);
    }
  }
  if (!inserted_.empty()) splice.insert(request.insert_at, inserted_);
  splice.replace(request.model_span, model_);
  pieces_ = splice.pieces();
}

net::Awaitable<void> call_model(const CallSubject& subject, Attempt& attempt, Delivery delivery, std::span<const std::string_view> own_body) {
  const Policy& policy = *subject.runtime.policy;
  const PricedModel& model = policy.models[attempt.model];
  attempt.started = attempt.finished = subject.deps.reactor.clock().mono();
  std::optional<UpstreamBody> body;
  if (own_body.empty()) body.emplace(subject.request, subject.body, model.config.upstream_model, delivery, asks_logprobs(attempt, model), policy.top_logprobs);
  const std::span<const std::string_view> pieces = body ? body->pieces() : own_body;
  std::size_t bytes = 0;
  for (const std::string_view piece : pieces) bytes += piece.size();
  if (!admit(subject, attempt, model) || !set_aside(subject, attempt, model, bytes)) {
    attempt.pass.reset();
    attempt.cost = Picousd{0};
    co_return;
  }
  if (subject.deps.journal != nullptr) {
    store::ReservationEvent reservation;
    reservation.request_id = subject.request_id;
    reservation.attempt = attempt.number;
    reservation.stage = attempt.stage;
    reservation.model = model.config.name;
    if (attempt.hold) reservation.reserved = attempt.hold->amount;
    // The call goes ahead also when this could not be written, and the journal counts it: under a budget the purse has its own record.
    [[maybe_unused]] const bool written = subject.deps.journal->reserve(reservation);
  }
  attempt.started = subject.deps.reactor.clock().mono();
  {
    providers::ChatCall call;
    call.body = pieces;
    call.stream = delivery != Delivery::kPlain;
    call.client_key = subject.client_key;
    call.request_id = subject.request_id;
    call.traceparent = subject.traceparent;
    call.cancel = subject.cancel;
    call.deadline = earlier(subject.deadline, subject.client_deadline);
    auto reply = co_await subject.runtime.providers[attempt.model]->chat(call);
    attempt.first_byte_us = (subject.deps.reactor.clock().mono().ns - attempt.started.ns) / 1000;
    if (reply) {
      attempt.reply = std::move(*reply);
      attempt.status = attempt.reply->status();
    } else {
      attempt.error = std::move(reply.error());
    }
  }
  if (attempt.reply) {
    const bool events = attempt.status == 200 && attempt.reply->is_event_stream();
    if (events && delivery == Delivery::kOpen) {
      if (attempt.pass && attempt.pass->trial) report_outcome(subject, attempt);  // others wait for it
      co_return;
    }
    if (events && delivery == Delivery::kCollect) {
      co_await collect(subject, attempt);
      count_attempt(subject, attempt);
      report_outcome(subject, attempt);
      co_return;
    }
    co_await read_plain(subject, attempt);
  }
  attempt.finished = subject.deps.reactor.clock().mono();
  if (was_read_in_vain(attempt)) attempt.usage = estimate_usage(subject.body, {});
  add_cost(subject, attempt);
  count_attempt(subject, attempt);
  report_outcome(subject, attempt);
}

void report_outcome(const CallSubject& subject, Attempt& attempt) {
  if (!attempt.pass) return;
  const providers::Breaker::Pass pass = *std::exchange(attempt.pass, std::nullopt);
  const MonoTime now = subject.deps.reactor.now();
  bool success = attempt.status < 500 && attempt.status != 408;
  if (attempt.error) {
    if (attempt.error->kind == ErrorKind::kCancelled) return;
    if (attempt.error->kind == ErrorKind::kUpstreamTimeout && subject.client_deadline.passed(now)) return;
    success = false;
  }
  const providers::ModelConfig& model = subject.runtime.policy->models[attempt.model].config;
  switch (model.state->breaker.report(pass, success, now)) {
    case providers::Breaker::Change::kOpened:
      log::warn("model '{}' has failed again and again (last: {}): not asked for {} ms", model.name,
                attempt.error ? attempt.error->message : fmt::format("status {}", attempt.status), model.state->breaker.rest_ms(now));
      break;
    case providers::Breaker::Change::kClosed: log::info("model '{}' answers again", model.name); break;
    case providers::Breaker::Change::kNone: break;
  }
}

void finish_stream(const CallSubject& subject, Attempt& attempt, chat::StreamAssembler& assembler) {
  attempt.finished = subject.deps.reactor.clock().mono();
  add_confidence(subject, attempt, assembler.logprobs());
  attempt.answer = assembler.take();
  attempt.usage_raw = attempt.answer->usage_raw;
  if (!attempt.answer->usage) attempt.answer->usage = estimate_usage(subject.body, chat::answer_text(*attempt.answer));
  attempt.usage = attempt.answer->usage;
  add_cost(subject, attempt);
}

std::optional<Picousd> total_cost(const std::list<Attempt>& attempts) {
  Picousd sum;
  for (const Attempt& attempt : attempts) {
    if (!attempt.cost) return std::nullopt;
    sum = sum + *attempt.cost;
  }
  return sum;
}

Usage estimate_usage(std::string_view body, std::string_view answer) {
  Usage usage;
  usage.input = chat::estimate_tokens(body);
  usage.output = chat::estimate_tokens(answer);
  usage.estimated = true;
  return usage;
}

}  // namespace understudy::cascade::internal
