#pragma once
/// The one list of every event's fields: number, kind, member. Encoder, decoder, size bound and the format's tests are
/// visitors of it. Numbers ascend, are never reused, and a new field must read as zero, empty or nullopt from old records.

#include <concepts>
#include <type_traits>

#include "store/internal/codec.h"

namespace understudy::store {

template <typename E, typename T>
concept EventOf = std::same_as<std::remove_const_t<E>, T>;

template <typename V>
void visit_fields(EventOf<ReservationEvent> auto& e, V& v) {
  v.text(1, e.request_id);
  v.integer(2, e.attempt);
  v.stage(3, e.stage);
  v.text(4, e.model);
  v.optional_money(5, e.reserved);
}

template <typename V>
void visit_fields(EventOf<AttemptEvent> auto& e, V& v) {
  v.text(1, e.request_id);
  v.integer(2, e.attempt);
  v.stage(3, e.stage);
  v.text(4, e.model);
  v.text(5, e.upstream_model);
  v.text(6, e.provider);
  v.integer(7, e.status);
  v.text(8, e.error);
  v.flag(9, e.off_path);
  v.flag(10, e.served);
  v.usage(11, e.usage);
  v.long_text(12, e.usage_raw);
  v.optional_money(13, e.cost);
  v.integer(14, e.latency_us);
  v.integer(15, e.first_byte_us);
  v.optional_real(16, e.confidence);
  v.integer(17, e.feature_schema);
  v.floats(18, e.features);
  v.text(19, e.finish_reason);
  v.body(20, e.answer, 21, e.answer_full_bytes);
  v.text(22, e.rung);
}

template <typename V>
void visit_fields(EventOf<RequestEvent> auto& e, V& v) {
  v.text(1, e.request_id);
  v.text(2, e.session);
  v.text(3, e.consumer);
  v.text(4, e.tenant);
  v.text(5, e.key);
  v.text(6, e.task);
  v.text(7, e.tags);
  v.text(8, e.route);
  v.text(9, e.cascade);
  v.text(10, e.requested_model);
  v.text(11, e.mode);
  v.text(12, e.policy_version);
  v.real(13, e.coin.probability);
  v.flag(14, e.coin.heads);
  v.text(15, e.label_source);
  v.optional_flag(16, e.agrees);
  v.optional_stage(17, e.served_by);
  v.text(18, e.served_model);
  v.optional_real(19, e.confidence);
  v.optional_real(20, e.threshold);
  v.flag(21, e.threshold_by_hand);
  v.flag(22, e.escalated);
  v.text(23, e.reason);
  v.integer(24, e.status);
  v.text(25, e.error);
  v.flag(26, e.streamed);
  v.flag(27, e.client_gone);
  v.flag(28, e.complete);
  v.optional_money(29, e.cost);
  v.optional_money(30, e.teacher_cost);
  v.flag(31, e.teacher_cost_estimated);
  v.integer(32, e.latency_us);
  v.integer(33, e.overhead_us);
  v.fixed(34, e.input_hash);
  v.body(35, e.body, 36, e.body_full_bytes);
  v.text(37, e.promise_version);
  v.text(38, e.served_rung);
  v.fixed(39, e.prompt_hash);
}

template <typename V>
void visit_fields(EventOf<LabelEvent> auto& e, V& v) {
  v.text(1, e.request_id);
  v.text(2, e.source);
  v.stage(3, e.stage);
  v.flag(4, e.agrees);
  v.real(5, e.propensity);
  v.text(6, e.comparator);
  v.text(7, e.rung);
}

template <typename V>
void visit_fields(EventOf<FeedbackEvent> auto& e, V& v) {
  v.text(1, e.request_id);
  v.text(2, e.source);
  v.optional_real(3, e.score);
  v.text(4, e.label);
  v.private_text(5, e.correction);
  v.private_text(6, e.comment);
}

template <typename V>
void visit_fields(EventOf<AlarmEvent> auto& e, V& v) {
  v.text(2, e.name);  // 1 is the request id wherever there is one
  v.text(3, e.subject);
  v.text(4, e.message);
}

template <typename V>
void visit_fields(EventOf<PromiseRowEvent> auto& e, V& v) {
  v.text(1, e.request_id);
  v.text(2, e.task);
  v.flag(3, e.test);
  v.whole(4, e.row);
}

template <typename V>
void visit_fields(EventOf<PromiseEvent> auto& e, V& v) {
  v.text(2, e.task);
  v.text(3, e.kind);
  v.text(4, e.version);
  v.whole(5, e.detail);
}

template <typename V>
void visit_fields(EventOf<LessonEvent> auto& e, V& v) {
  v.text(1, e.request_id);
  v.text(2, e.lesson_id);
  v.text(3, e.tenant);
  v.text(4, e.cascade);
  v.text(5, e.task);
  v.text(6, e.state);
  v.text(7, e.provenance);
  v.fixed(8, e.prompt_hash);
  v.fixed(9, e.input_hash);
  v.integer(10, e.created_us);
  v.integer(11, e.spent.value);
  v.whole(12, e.detail);
}

template <typename V>
void visit_fields(EventOf<LessonUseEvent> auto& e, V& v) {
  v.text(1, e.request_id);
  v.text(2, e.lesson_id);
  v.flag(3, e.withheld);
  v.optional_flag(4, e.agrees);
}

template <typename V>
void visit_fields(EventOf<SpendEvent> auto& e, V& v) {
  v.text(2, e.key);
  v.text(3, e.task);
  v.text(4, e.model);
  v.integer(5, e.at_us);
  v.integer(6, e.amount.value);
}

template <typename V>
void visit_fields(EventOf<GapEvent> auto& e, V& v) {
  v.fixed(2, e.dropped);
}

template <typename V>
void visit_fields(EventOf<Usage> auto& e, V& v) {
  v.integer(1, e.input);
  v.integer(2, e.cached_input);
  v.integer(3, e.cache_write_5m);
  v.integer(4, e.cache_write_1h);
  v.integer(5, e.output);
  v.integer(6, e.reasoning);
  v.flag(7, e.estimated);
}

}  // namespace understudy::store
