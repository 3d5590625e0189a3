#include "gateway/internal/keyed_sink.h"

#include "net/sse.h"

namespace understudy::gateway::internal {

void KeyedSink::keep_fields(const cascade::Decision& decision, std::string_view content_type) {
  DecisionFields fields;
  fields.render(decision, true, content_type, {});   // how the key's limits stand is no part of the answer
  for (const net::Field& field : fields.fields()) kept_.fields.emplace_back(field.name, field.value);
}

void KeyedSink::keep(std::span<const std::string_view> pieces) {
  for (const std::string_view piece : pieces) kept_.body.append(piece);
}

net::Task<void> KeyedSink::reply(const cascade::Decision& decision, int status, std::span<const std::string_view> body) {
  if (status == 200) {
    keep_fields(decision, "application/json");
    keep(body);
    whole_ = true;
  }
  return to_.reply(decision, status, body);
}

void KeyedSink::begin_stream(const cascade::Decision& decision) {
  kept_.stream = true;
  keep_fields(decision, kEventStream);
  to_.begin_stream(decision);
}

net::Task<void> KeyedSink::write(std::span<const std::string_view> events) {
  keep(events);
  if (!client_left_) client_left_ = !co_await to_.write(events);
  co_return Result<void>();
}

net::Task<void> KeyedSink::end_stream(std::span<const std::string_view> events) {
  keep(events);
  whole_ = kept_.body.ends_with(net::kSseDone);   // one that was cut short ends without it
  if (!client_left_) co_return co_await to_.end_stream(events);
  co_return Result<void>();
}

std::shared_ptr<const KeptAnswer> KeyedSink::take() { return whole_ ? std::make_shared<const KeptAnswer>(std::move(kept_)) : nullptr; }

}  // namespace understudy::gateway::internal
