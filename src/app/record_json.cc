#include "app/record_json.h"

#include <fmt/format.h>

#include <cmath>
#include <string>

#include "app/human.h"
#include "base/time_format.h"
#include "calibration/features.h"

namespace understudy::app {
namespace {

void write_ms(JsonWriter& w, std::string_view key, std::int64_t us) { w.field(key, static_cast<double>(us) / 1e3); }

}  // namespace

void write_usd(JsonWriter& w, std::string_view name, const std::optional<Picousd>& amount) {
  w.key(std::string(name) + "_usd");
  if (amount) {
    w.string(exact_usd(amount->value));
  } else {
    w.null();
  }
}

void write_usd_sum(JsonWriter& w, std::string_view name, PicousdSum sum, std::int64_t covered, std::int64_t requests) {
  const bool known = covered > 0 || requests == 0;
  w.key(std::string(name) + "_usd");
  known ? w.string(exact_usd(sum.value)) : w.null();
  w.key(std::string(name) + "_picousd");
  known ? w.string(to_string(sum.value)) : w.null();
}

void write_usage(JsonWriter& w, const std::optional<Usage>& usage) {
  if (!usage) {
    w.null();
    return;
  }
  w.begin_object();
  w.field("input", usage->input).field("cached_input", usage->cached_input);
  w.field("cache_write_5m", usage->cache_write_5m).field("cache_write_1h", usage->cache_write_1h);
  w.field("output", usage->output).field("reasoning", usage->reasoning).field("estimated", usage->estimated);
  w.end_object();
}

void write_optional(JsonWriter& w, std::string_view key, const std::optional<double>& value) {
  w.key(key);
  value ? w.number(*value) : w.null();
}

void write_optional(JsonWriter& w, std::string_view key, const std::optional<bool>& value) {
  w.key(key);
  value ? w.boolean(*value) : w.null();
}

void write_text(JsonWriter& w, std::string_view key, std::string_view text) {
  w.key(key);
  text.empty() ? w.null() : w.string(text);
}

void write_request_fields(JsonWriter& w, const store::RequestRecord& r) {
  w.field("request_id", r.request_id).field("finished", r.finished).field("time", format_rfc3339(r.finished_at));
  write_text(w, "task", r.task);
  write_text(w, "tenant", r.tenant);
  write_text(w, "key", r.key);
  write_text(w, "session", r.session);
  write_text(w, "consumer", r.consumer);
  write_text(w, "tags", r.tags);
  write_text(w, "route", r.route);
  write_text(w, "cascade", r.cascade);
  write_text(w, "requested_model", r.requested_model);
  write_text(w, "mode", r.mode);
  write_text(w, "policy_version", r.policy_version);
  write_text(w, "promise_version", r.promise_version);
  w.key("served_by");
  r.served_by ? w.string(stage_name(*r.served_by)) : w.null();
  write_text(w, "served_model", r.served_model);
  write_text(w, "served_rung", r.served_rung);
  write_text(w, "reason", r.reason);
  w.field("escalated", r.escalated);
  write_optional(w, "confidence", r.confidence);
  write_optional(w, "threshold", r.threshold);
  w.field("threshold_by_hand", r.threshold_by_hand);
  w.key("coin").begin_object().field("heads", r.coin_heads).field("probability", r.coin_probability).end_object();
  write_text(w, "label_source", r.label_source);
  write_optional(w, "agrees", r.agrees);
  w.field("status", r.status);
  write_text(w, "error", r.error);
  w.field("streamed", r.streamed).field("complete", r.complete).field("client_gone", r.client_gone);
  write_usd(w, "cost", r.cost);
  write_usd(w, "teacher_cost", r.teacher_cost);
  w.field("teacher_cost_estimated", r.teacher_cost_estimated);
  write_usd(w, "saved", r.cost && r.teacher_cost ? std::optional(*r.teacher_cost - *r.cost) : std::nullopt);
  w.field("cost_estimated", r.cost_estimated);
  write_ms(w, "latency_ms", r.latency_us);
  write_ms(w, "overhead_ms", r.overhead_us);
  w.field("input_hash", fmt::format("{:016x}", r.input_hash));
  write_text(w, "prompt_hash", r.prompt_hash == 0 ? std::string() : fmt::format("{:016x}", r.prompt_hash));
}

void write_body(JsonWriter& w, std::string_view key, const store::Body& body) {
  w.key(key);
  if (!body.stored) {
    w.null();
    return;
  }
  w.begin_object().field("text", body.text);
  w.field("bytes", body.truncated() ? body.full_bytes : body.text.size()).field("truncated", body.truncated());
  w.end_object();
}

void write_features(JsonWriter& w, const store::AttemptRecord& attempt) {
  w.key("features");
  if (attempt.features.empty()) {
    w.null();
    return;
  }
  const auto names = calibration::feature_names(static_cast<std::uint16_t>(attempt.feature_schema));
  w.begin_object();
  for (std::size_t i = 0; i < attempt.features.size(); ++i) {
    // A schema that this version does not know still has its numbers shown, by their places.
    w.key(i < names.size() ? std::string(names[i]) : fmt::format("feature_{}", i));
    // The shortest digits of the float that was stored; a feature that could not be computed is NaN there and null here.
    w.raw(std::isfinite(attempt.features[i]) ? fmt::format("{}", attempt.features[i]) : "null");
  }
  w.end_object();
}

void write_attempt(JsonWriter& w, const store::AttemptRecord& a) {
  w.begin_object();
  w.field("attempt", a.attempt).field("stage", stage_name(a.stage)).field("model", a.model);
  write_text(w, "rung", a.rung);
  write_text(w, "upstream_model", a.upstream_model);
  write_text(w, "provider", a.provider);
  w.field("served", a.served).field("off_path", a.off_path).field("status", a.status);
  write_text(w, "error", a.error);
  write_text(w, "finish_reason", a.finish_reason);
  w.field("finished", format_rfc3339(a.finished));
  write_ms(w, "latency_ms", a.latency_us);
  write_ms(w, "first_byte_ms", a.first_byte_us);
  w.key("usage");
  write_usage(w, a.usage);
  write_text(w, "usage_raw", a.usage_raw);
  write_usd(w, "cost", a.cost);
  write_optional(w, "confidence", a.confidence);
  w.field("feature_schema", a.feature_schema);
  write_features(w, a);
  write_body(w, "answer", a.answer);
  w.end_object();
}

void write_label(JsonWriter& w, const store::LabelRecord& label) {
  w.begin_object().field("source", label.source).field("stage", stage_name(label.stage));
  write_text(w, "rung", label.rung);
  w.field("agrees", label.agrees);
  w.field("propensity", label.propensity);
  write_text(w, "comparator", label.comparator);
  w.field("time", format_rfc3339(label.time)).end_object();
}

void write_feedback(JsonWriter& w, const store::FeedbackRecord& feedback) {
  w.begin_object().field("source", feedback.source);
  write_optional(w, "score", feedback.score);
  write_text(w, "label", feedback.label);
  write_text(w, "correction", feedback.correction);
  write_text(w, "comment", feedback.comment);
  w.field("time", format_rfc3339(feedback.time)).end_object();
}

void write_reservation(JsonWriter& w, const store::ReservationRecord& reservation) {
  w.begin_object()
      .field("attempt", reservation.attempt)
      .field("stage", stage_name(reservation.stage))
      .field("model", reservation.model);
  write_usd(w, "reserved", reservation.reserved);
  w.field("time", format_rfc3339(reservation.time)).end_object();
}

}  // namespace understudy::app
