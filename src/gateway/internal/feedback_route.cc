#include "gateway/internal/feedback_route.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <array>

#include "base/json_writer.h"
#include "gateway/internal/callers.h"
#include "gateway/internal/service.h"

namespace understudy::gateway::internal {

Result<Feedback> parse_feedback(std::string_view body) {
  const auto wrong = [](std::string message, std::string_view param) { return fail(ErrorKind::kInvalidRequest, std::move(message), std::string(param)); };
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  if (parser.parse(body.data(), body.size()).get_object().get(object)) return wrong("The body must be a JSON object with request_id and a score, label, correction or comment.", "");
  Feedback feedback;
  for (const auto& [key, value] : object) {
    const auto text = [&](std::string& out) -> Result<void> {
      std::string_view read;
      if (value.is_null()) return {};
      if (value.get_string().get(read)) return fail(ErrorKind::kInvalidRequest, fmt::format("Field '{}' must be a string.", key), std::string(key));
      out = std::string(read);
      return {};
    };
    Result<void> done;
    if (key == "request_id") {
      done = text(feedback.request_id);
    } else if (key == "source") {
      done = text(feedback.source);
    } else if (key == "label") {
      done = text(feedback.label);
    } else if (key == "correction") {
      done = text(feedback.correction);
    } else if (key == "comment") {
      done = text(feedback.comment);
    } else if (key == "score") {
      bool good = false;
      double score = 0;
      if (value.get_bool().get(good) == simdjson::SUCCESS) {
        feedback.score = good ? 1 : -1;
      } else if (value.get_double().get(score) == simdjson::SUCCESS && score >= -1 && score <= 1) {
        feedback.score = score;
      } else if (!value.is_null()) {
        return wrong("Field 'score' must be a number from -1 to 1, true or false.", "score");
      }
    } else {
      return wrong(fmt::format("There is no field '{}': known are request_id, source, score, label, correction, comment.", key), key);
    }
    if (!done) return fail(std::move(done.error()));
  }
  if (feedback.request_id.empty()) return wrong("Field 'request_id' is missing: the x-request-id of the answer that is judged.", "request_id");
  if (feedback.request_id.size() > 200 || feedback.source.size() > 200) return wrong("Fields 'request_id' and 'source' have at most 200 bytes.", "request_id");
  if (!feedback.score && feedback.label.empty() && feedback.correction.empty() && feedback.comment.empty()) {
    return wrong("Nothing is said: give a score, label, correction or comment.", "score");
  }
  return feedback;
}

net::Task<void> ReactorService::feedback(net::Exchange& exchange, std::span<const net::Field> json_fields) {
  const auto id_field = json_fields.first(1);
  const auto keys = snapshot_.keys;
  auto caller = authenticate(exchange.head(), *keys, reactor_.clock());
  if (!caller) co_return co_await exchange.respond_error(caller.error(), id_field);
  auto given = parse_feedback(exchange.body());
  if (!given) co_return co_await exchange.respond_error(given.error(), id_field);
  if (given->source.empty()) given->source = caller->key != nullptr ? caller->key->name : "client";
  store::FeedbackEvent event;
  event.request_id = given->request_id;
  event.source = given->source;
  event.score = given->score;
  const Redactor& redact = snapshot_.policy->redact;
  given->label = redact.text(given->label);
  given->correction = redact.text(given->correction);
  given->comment = redact.text(given->comment);
  event.label = given->label;
  event.correction = given->correction;
  event.comment = given->comment;
  if (shared_->store == nullptr || !shared_->store->journal(reactor_.index()).append(event)) {
    Error error(ErrorKind::kOverloaded, "The feedback could not be written down; try again later.");
    error.retry_after_ms = 1'000;
    co_return co_await exchange.respond_error(error, id_field);
  }
  if (!given->truth().empty() && shared_->promises) shared_->promises->feedback(given->request_id, std::string(caller->tenant), given->truth());
  if (!given->truth().empty() && shared_->lessons) {
    lessons::Correction correction{given->request_id, std::string(caller->tenant), std::string(given->truth())};
    shared_->lessons->correct(std::move(correction));
  }
  std::string body;
  JsonWriter(body).begin_object().field("object", "feedback").field("request_id", given->request_id).field("source", given->source).end_object();
  co_return co_await exchange.respond(200, json_fields, body);
}

}  // namespace understudy::gateway::internal
