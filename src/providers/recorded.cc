#include "providers/recorded.h"

#include <fmt/format.h>

#include "base/json_writer.h"
#include "chat/request.h"
#include "net/timer.h"
#include "providers/memory_reply.h"

namespace understudy::providers {
namespace {

std::string error_body(std::string_view message, std::string_view code) {
  std::string out;
  JsonWriter w(out);
  w.begin_object().key("error").begin_object().field("message", message).field("type", "invalid_request_error").key("param").null();
  w.field("code", code).end_object().end_object();
  return out;
}

class RecordedProvider final : public Provider {
 public:
  RecordedProvider(net::Reactor& reactor, std::shared_ptr<const Recording> recording, std::string model, double latency_scale)
      : reactor_(reactor), recording_(std::move(recording)), model_(std::move(model)), latency_scale_(latency_scale) {}

  Task<std::unique_ptr<ChatReply>> chat(const ChatCall& call) override {
    if (call.path != ChatCall().path) co_return fail(ErrorKind::kUnsupported, "this upstream is a file of chat completions and answers nothing else");
    std::string body;
    for (const std::string_view piece : call.body) body += piece;
    RecordedReply reply = answer_from(*recording_, body, model_, reactor_.clock().wall().us / 1'000'000);
    const auto latency_ms = static_cast<std::int64_t>(static_cast<double>(reply.latency_ms) * latency_scale_);
    const auto steps = static_cast<std::int64_t>(std::max<std::size_t>(1, reply.events.size()));
    const std::int64_t pause_ms = reply.events.empty() ? latency_ms : latency_ms / steps;
    if (reply.events.empty()) {
      if (pause_ms > 0 && !co_await net::sleep_for(reactor_, pause_ms, call.cancel)) co_return fail(ErrorKind::kCancelled, "the client went away");
      co_return std::make_unique<MemoryReply>(reply.status, std::move(reply.body));
    }
    co_return std::make_unique<MemoryReply>(reactor_, std::move(reply.events), pause_ms, call.cancel);
  }

 private:
  net::Reactor& reactor_;
  std::shared_ptr<const Recording> recording_;
  std::string model_;
  double latency_scale_;
};

}  // namespace

RecordedReply answer_from(const Recording& recording, std::string_view request_body, std::string_view model, std::int64_t created) {
  RecordedReply reply;
  const auto request = chat::parse_chat_request(request_body);
  if (!request) {
    reply.status = 400;
    reply.body = error_body(request.error().message, "invalid_request");
    return reply;
  }
  const std::string text = chat::last_user_text(request_body);
  const RecordedAnswer* recorded = recording.find(text);
  if (recorded == nullptr) {
    reply.status = 404;
    reply.body = error_body(fmt::format("Nothing was recorded for the message \"{}\".", text.substr(0, 200)), "not_recorded");
    return reply;
  }
  reply.latency_ms = recorded->latency_ms;
  if (request->stream) {
    reply.events = render_recorded_stream(*recorded, model, created, request->logprobs, request->top_logprobs, request->include_usage);
  } else {
    reply.body = render_recorded(*recorded, model, created, request->logprobs, request->top_logprobs);
  }
  return reply;
}

std::unique_ptr<Provider> make_recorded_provider(net::Reactor& reactor, std::shared_ptr<const Recording> recording, std::string model,
                                                 double latency_scale) {
  return std::make_unique<RecordedProvider>(reactor, std::move(recording), std::move(model), latency_scale);
}

}  // namespace understudy::providers
