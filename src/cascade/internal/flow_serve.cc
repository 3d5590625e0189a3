#include <fmt/format.h>

#include "base/json_writer.h"
#include "cascade/internal/flow.h"
#include "net/sse.h"

namespace understudy::cascade {
namespace {

std::string json_string(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

/// Costs are written with 12 decimals, so that picodollars stay exact.
void write_cost(JsonWriter& w, std::string_view key, std::optional<Picousd> cost) {
  w.key(key);
  if (cost) {
    w.raw(format_usd(*cost, 12));
  } else {
    w.null();
  }
}

std::string features_json(const calibration::LogprobFeatures& features) {
  std::string out;
  JsonWriter w(out);
  w.begin_object();
  const auto names = calibration::feature_names(calibration::kLogprobSchema);
  for (std::size_t i = 0; i < names.size(); ++i) w.field(names[i], static_cast<double>(features.values[i]));
  w.end_object();
  return out;
}

/// One chunk as an event, under the name that the client asked for and without logprobs that it did not.
void append_chunk(std::string& out, std::string_view data, const chat::Chunk& chunk, std::string_view model_json, bool logprobs) {
  chat::Splice splice(data);
  if (chunk.model.present()) splice.replace(chunk.model, model_json);
  if (chunk.logprobs.present() && !logprobs) splice.replace(chunk.logprobs, "null");
  const auto pieces = splice.pieces();
  out.reserve(out.size() + pieces.bytes + 8);
  out += "data: ";
  for (const std::string_view piece : pieces) out.append(piece);
  out += "\n\n";
}

}  // namespace

std::string Flow::attempts_json() const {
  std::string out;
  out.reserve(128 * (attempts_.size() + 1));
  JsonWriter w(out);
  w.begin_array();
  if (cached_) {
    w.begin_object().field("stage", stage_name(decision_.served_by.value_or(Stage::kCache))).field("model", cached_->model).field("prompt_tokens", 0).field("completion_tokens", 0);
    w.key("cost_usd").raw("0").end_object();
  }
  for (const Attempt& attempt : attempts_) {
    w.begin_object().field("stage", stage_name(attempt.stage)).field("model", policy_.models[attempt.model].config.name);
    if (attempt.usage) {
      w.field("prompt_tokens", attempt.usage->input).field("completion_tokens", attempt.usage->output);
      if (attempt.usage->estimated) w.field("estimated", true);
    } else {
      w.key("prompt_tokens").null().key("completion_tokens").null();
    }
    write_cost(w, "cost_usd", attempt.cost);
    w.end_object();
  }
  w.end_array();
  return out;
}

std::string Flow::decision_json() const {
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("request_id", decision_.request_id).key("served_by");
  if (decision_.served_by) {
    w.string(stage_name(*decision_.served_by));
  } else {
    w.null();
  }
  w.field("model", decision_.model).field("task", decision_.task).key("confidence");
  if (decision_.confidence) {
    w.fixed(*decision_.confidence, 4);
  } else {
    w.null();
  }
  w.key("threshold");
  if (decision_.threshold) {
    w.fixed(*decision_.threshold, 4);
  } else {
    w.null();
  }
  w.field("escalated", decision_.escalated).field("reason", decision_.reason);
  write_cost(w, "cost_usd", decision_.cost);
  if (decision_.cost_estimated) w.field("cost_estimated", true);
  write_cost(w, "saved_usd", decision_.saved());
  if (decision_.saved_estimated()) w.field("saved_estimated", true);
  w.end_object();
  return out;
}

void Flow::settle_decision(const Attempt* served) {
  const std::int64_t now_ns = deps_.reactor.clock().mono().ns;
  // Calls begin one after the other, but samples run beside each other: time is counted once.
  std::int64_t waited_ns = 0, until_ns = 0;
  for (const Attempt& attempt : attempts_) {
    const std::int64_t end_ns = attempt.finished.ns > 0 ? attempt.finished.ns : attempt.started.ns + attempt.first_byte_us * 1000;
    waited_ns += std::max<std::int64_t>(0, end_ns - std::max(attempt.started.ns, until_ns));
    until_ns = std::max(until_ns, end_ns);
  }
  decision_.overhead_us = std::max<std::int64_t>(0, (now_ns - context_.started.ns - waited_ns) / 1000);
  if (served != nullptr) {
    decision_.served_by = served->stage;
    decision_.model = policy_.models[served->model].config.name;
  }
  decision_.cost = internal::total_cost(attempts_);
  decision_.cost_final = decision_.cost.has_value();
  decision_.cost_estimated = false;
  for (const Attempt& attempt : attempts_) decision_.cost_estimated |= attempt.usage && attempt.usage->estimated;

  // What the teacher alone would have cost: its own call where it was made, else its price for the tokens that served.
  const std::size_t teacher = route_.cascade->teacher;
  decision_.teacher_cost.reset();
  decision_.teacher_cost_estimated = false;
  for (const Attempt& attempt : attempts_) {
    if (attempt.model != teacher || !attempt.ok()) continue;
    decision_.teacher_cost = attempt.cost;
    decision_.teacher_cost_estimated = attempt.usage && attempt.usage->estimated;
  }
  const std::optional<Usage> usage = served != nullptr ? served->usage : cached_ ? cached_->usage : std::nullopt;
  if (usage) decision_.tokens = usage->input + usage->output;
  if (!decision_.teacher_cost && usage && (served == nullptr || served->model != teacher)) {
    decision_.teacher_cost = policy_.models[teacher].cost(*policy_.prices, *usage, deps_.reactor.clock().wall());
    decision_.teacher_cost_estimated = true;
  }
  if (context_.debug) {
    JsonWriter w(decision_.debug);
    w.begin_array();
    for (const Attempt& attempt : attempts_) {
      w.begin_object().field("stage", stage_name(attempt.stage)).field("model", policy_.models[attempt.model].config.name);
      w.field("status", attempt.status).field("latency_us", attempt.latency_us()).key("confidence");
      if (attempt.confidence) {
        w.fixed(*attempt.confidence, 4);
      } else {
        w.null();
      }
      if (attempt.error) w.field("error", attempt.error->message);
      if (attempt.cut_short) w.field("cut_short", true);
      if (attempt.features) w.key("features").raw(features_json(*attempt.features));
      w.end_object();
    }
    w.end_array();
  }
}

bool Flow::may_cache() const {
  if (decision_.reason == reason::kTeacherError || decision_.reason == reason::kBudget) return false;  // a draft that served for want of better is nobody's answer tomorrow
  return route_.cascade != nullptr && route_.cascade->cache && mode_ == Mode::kLive && keyed_;
}

void Flow::remember(const Attempt& attempt, std::string completion) {
  CachedAnswer entry;
  entry.completion = std::move(completion);
  entry.stage = attempt.stage;
  entry.model = policy_.models[attempt.model].config.name;
  entry.confidence = attempt.confidence;
  entry.usage = attempt.usage;
  entry.stored = deps_.reactor.now();
  if (canonical_.empty()) chat::append_canonical(request_, context_.body, canonical_);
  cache_key_.canonical = canonical_;
  deps_.cache.put(cache_key_, std::move(entry));
}

// Not a coroutine: a stream that lasts for minutes does not hold the frame of the other way.
net::Awaitable<void> Flow::serve_attempt(Attempt& attempt) {
  const bool open_stream = attempt.reply && attempt.reply->is_event_stream() && !attempt.answer;
  return open_stream ? pass_stream(attempt) : serve_whole(attempt);
}

net::Awaitable<void> Flow::serve_whole(Attempt& attempt) {
  if (hedge_ && hedge_->running()) co_await hedge_->drop();
  attempt.served = true;
  settle_decision(&attempt);
  compare_with_teacher();

  // A whole answer is at hand. Plain to plain forwards the upstream's bytes; the other ways render the answer.
  const std::string understudy_usage = attempts_json();
  if (!request_.stream && !attempt.answer) {
    const chat::Completion& completion = attempt.completion;
    const std::string model = json_string(request_.model);
    std::string usage = chat::usage_with_understudy(attempt.usage_text(), attempt.usage, understudy_usage);
    chat::Splice splice(attempt.body);
    chat::Splice memory(attempt.body);
    if (completion.model.present()) splice.replace(completion.model, model);
    if (completion.logprobs.present() && !request_.logprobs) {
      splice.replace(completion.logprobs, "null");
      memory.replace(completion.logprobs, "null");
    }
    if (completion.usage.present()) {
      splice.replace(completion.usage, usage);
    } else {
      usage = ",\"usage\":" + usage;
      splice.insert(static_cast<std::uint32_t>(attempt.body.rfind('}')), usage);
    }
    if (may_cache()) {
      std::string copy;
      const auto kept = memory.pieces();
      copy.reserve(kept.bytes);
      for (const std::string_view piece : kept) copy.append(piece);
      remember(attempt, std::move(copy));
    }
    record(200, "");
    co_await make_durable();
    const auto pieces = splice.pieces();
    auto sent = co_await sink_.reply(decision_, 200, std::span(pieces.data.data(), pieces.count));
    if (!sent) deps_.counters.clients_gone.fetch_add(1, std::memory_order_relaxed);
    co_return;
  }

  auto answer = answer_of(attempt);
  if (!answer) {
    attempt.served = false;
    attempt.error = std::move(answer.error());
    co_await serve_failure(attempt);
    co_return;
  }
  chat::RenderOptions options;
  options.model = request_.model;
  options.logprobs = request_.logprobs;
  options.understudy_usage = understudy_usage;
  options.include_usage = request_.include_usage;
  if (may_cache()) {
    chat::RenderOptions plain = options;
    plain.understudy_usage = {};
    remember(attempt, chat::render_completion(*answer, plain));
  }
  record(200, "");
  co_await make_durable();
  if (!request_.stream) {
    const std::string text = chat::render_completion(*answer, options);
    const std::array<std::string_view, 1> pieces{text};
    auto sent = co_await sink_.reply(decision_, 200, pieces);
    if (!sent) deps_.counters.clients_gone.fetch_add(1, std::memory_order_relaxed);
    co_return;
  }
  const std::string decision = decision_json();
  if (sink_.stream_begun()) options.understudy = decision;
  sink_.begin_stream(decision_);
  const std::string events = chat::render_stream(*answer, options);
  const std::array<std::string_view, 1> pieces{events};
  auto sent = co_await sink_.end_stream(pieces);
  if (!sent) deps_.counters.clients_gone.fetch_add(1, std::memory_order_relaxed);
}

net::Awaitable<void> Flow::serve_cached(const CachedAnswer& cached) {
  if (hedge_ && hedge_->running()) co_await hedge_->drop();
  settle_decision(nullptr);
  decision_.cost = Picousd{0};
  decision_.cost_final = true;
  const std::string understudy_usage = attempts_json();
  if (!request_.stream) {
    auto completion = chat::parse_completion(cached.completion, nullptr);
    if (!completion) {  // what we stored ourselves always parses
      co_await refuse(Error(ErrorKind::kInternal, "A cached answer could not be read."));
      co_return;
    }
    const std::string model = json_string(request_.model);
    std::string usage = chat::usage_with_understudy(completion->usage.present() ? completion->usage.in(cached.completion) : std::string_view{},
                                                    cached.usage, understudy_usage);
    chat::Splice splice(cached.completion);
    if (completion->model.present()) splice.replace(completion->model, model);
    if (completion->usage.present()) {
      splice.replace(completion->usage, usage);
    } else {
      usage = ",\"usage\":" + usage;
      splice.insert(static_cast<std::uint32_t>(cached.completion.rfind('}')), usage);
    }
    record(200, "");
    co_await make_durable();
    const auto pieces = splice.pieces();
    auto sent = co_await sink_.reply(decision_, 200, std::span(pieces.data.data(), pieces.count));
    if (!sent) deps_.counters.clients_gone.fetch_add(1, std::memory_order_relaxed);
    co_return;
  }
  auto answer = chat::parse_answer(cached.completion);
  if (!answer) {
    co_await refuse(Error(ErrorKind::kInternal, "A cached answer could not be read."));
    co_return;
  }
  chat::RenderOptions options;
  options.model = request_.model;
  options.logprobs = request_.logprobs;
  options.understudy_usage = understudy_usage;
  options.include_usage = request_.include_usage;
  record(200, "");
  co_await make_durable();
  const std::string decision = decision_json();
  if (sink_.stream_begun()) options.understudy = decision;
  sink_.begin_stream(decision_);
  const std::string events = chat::render_stream(*answer, options);
  const std::array<std::string_view, 1> pieces{events};
  auto sent = co_await sink_.end_stream(pieces);
  if (!sent) deps_.counters.clients_gone.fetch_add(1, std::memory_order_relaxed);
}

net::Awaitable<void> Flow::serve_failure(Attempt& attempt) {
  settle_decision(nullptr);
  decision_.served_by.reset();
  if (attempt.forbidden()) decision_.reason = reason::kBudget;
  decision_.model = policy_.models[attempt.model].config.name;
  const providers::ModelConfig& model = policy_.models[attempt.model].config;
  const Error error = client_error(attempt, model.name, model.key_from_client);
  record(error.http_status(), error_info(error.kind).label);
  if (sink_.stream_begun()) {
    co_await send_error_event(error);
    co_return;
  }
  decision_.retry_after_ms = error.retry_after_ms;
  decision_.retry_is_useless = attempt.status == 400;
  if (passes_through(attempt, model.key_from_client)) {
    const std::array<std::string_view, 1> pieces{attempt.body};
    auto sent = co_await sink_.reply(decision_, attempt.status, pieces);
    if (!sent) deps_.counters.clients_gone.fetch_add(1, std::memory_order_relaxed);
    co_return;
  }
  auto sent = co_await sink_.fail(decision_, error);
  if (!sent) deps_.counters.clients_gone.fetch_add(1, std::memory_order_relaxed);
}

net::Awaitable<void> Flow::send_error_event(const Error& error) {
  const ErrorInfo& info = error_info(error.kind);
  std::string json;
  JsonWriter w(json);
  w.begin_object().key("error").begin_object().field("message", error.message).field("type", info.type).key("param").null().key("code");
  if (info.code.empty()) {
    w.null();
  } else {
    w.string(info.code);
  }
  w.end_object().end_object();
  std::string event;
  net::append_sse_event(event, json);
  const std::array<std::string_view, 1> pieces{event};
  // No [DONE]: the client must not take what it got for a whole answer.
  auto sent = co_await sink_.end_stream(pieces);
  if (!sent) deps_.counters.clients_gone.fetch_add(1, std::memory_order_relaxed);
}

net::Awaitable<void> Flow::pass_stream(Attempt& attempt) {
  attempt.served = true;
  settle_decision(&attempt);
  decision_.cost_final = false;
  const std::string model = json_string(request_.model);
  const auto calls = subject();
  chat::StreamAssembler assembler(attempt.stage == Stage::kStudent);
  const bool keep_logprobs = request_.logprobs && may_cache();
  std::string out;           // events that are ready to go
  std::string finish_event;  // the finishing chunk waits for usage, so that it can carry the cost
  std::optional<Error> broken;
  bool client_left = false;
  bool waiting = false;
  sink_.begin_stream(decision_);

  while (true) {
    auto event = co_await attempt.reply->next_event();
    if (!event) {
      broken = std::move(event.error());
      break;
    }
    if (!*event) {
      if (!assembler.finished()) broken = Error(ErrorKind::kUpstreamProtocol, "The upstream's stream ended in the middle of its answer.");
      break;
    }
    const std::string_view data = **event;
    if (data == "[DONE]") {
      if (!assembler.finished()) broken = Error(ErrorKind::kUpstreamProtocol, "The upstream's stream ended without a finish reason.");
      break;
    }
    auto chunk = assembler.add(data, keep_logprobs);
    if (!chunk) {
      broken = std::move(chunk.error());
      break;
    }
    const bool usage_only = chunk->choices == 0 && chunk->usage.present();
    if (!usage_only) {
      append_chunk(chunk->has_finish ? finish_event : out, data, *chunk, model, request_.logprobs);
      waiting = true;
    }
    if (waiting && !out.empty() && !attempt.reply->event_ready()) {
      const std::array<std::string_view, 1> pieces{out};
      auto sent = co_await sink_.write(pieces);
      std::string().swap(out);  // nothing is held between two events
      waiting = false;
      if (!sent) {
        client_left = true;
        break;
      }
    }
  }

  internal::finish_stream(calls, attempt, assembler);
  const auto stage = static_cast<std::size_t>(attempt.stage);
  deps_.counters.attempts[stage].fetch_add(1, std::memory_order_relaxed);
  if (broken || client_left) {
    if (broken) {
      attempt.error = *broken;
      deps_.counters.attempt_errors[stage].fetch_add(1, std::memory_order_relaxed);
      internal::report_outcome(calls, attempt);
    }
    settle_decision(&attempt);
    if (client_left || sink_.client_gone()) {
      record(error_info(ErrorKind::kCancelled).http_status, error_info(ErrorKind::kCancelled).label);
      co_return;
    }
    record(200, error_info(broken->kind).label);
    if (!out.empty()) {
      const std::array<std::string_view, 1> pieces{out};
      if (auto sent = co_await sink_.write(pieces); !sent) co_return;
    }
    co_await send_error_event(*broken);
    co_return;
  }

  internal::report_outcome(calls, attempt);
  settle_decision(&attempt);
  compare_with_teacher();
  if (may_cache()) {
    chat::RenderOptions plain;
    plain.model = request_.model;
    plain.logprobs = request_.logprobs;
    remember(attempt, chat::render_completion(*attempt.answer, plain));
  }
  record(200, "");
  co_await make_durable();
  if (!finish_event.empty()) {
    const std::size_t brace = finish_event.rfind('}');
    out.append(finish_event, 0, brace);
    out += fmt::format(",\"understudy\":{}}}\n\n", decision_json());
  }
  if (request_.include_usage) {
    std::string json;
    JsonWriter w(json);
    w.begin_object().field("id", attempt.answer->id).field("object", "chat.completion.chunk").field("created", attempt.answer->created);
    w.field("model", request_.model).key("choices").begin_array().end_array().key("usage");
    w.raw(chat::usage_with_understudy(attempt.usage_raw, attempt.usage, attempts_json())).end_object();
    net::append_sse_event(out, json);
  }
  out += net::kSseDone;
  const std::array<std::string_view, 1> pieces{out};
  auto sent = co_await sink_.end_stream(pieces);
  if (!sent) deps_.counters.clients_gone.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace understudy::cascade
