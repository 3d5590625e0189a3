#include "app/replay_server.h"

#include <array>

#include "base/json_writer.h"
#include "net/timer.h"
#include "providers/recorded.h"

namespace understudy::app {
namespace {

class ReplayService final : public net::Service {
 public:
  ReplayService(net::Reactor& reactor, std::shared_ptr<const providers::Recording> recording, std::string model, double latency_scale)
      : reactor_(reactor), recording_(std::move(recording)), model_(std::move(model)), latency_scale_(latency_scale) {}

  net::Awaitable<void> handle(net::Exchange& exchange) override {
    const std::string_view path = exchange.head().path;
    net::Field json("content-type", "application/json");
    const std::span<const net::Field> json_fields(&json, 1);
    if (path == "/v1/chat/completions" && exchange.head().method == "POST") {
      co_await chat(exchange);
    } else if (path == "/v1/models") {
      std::string body;
      JsonWriter w(body);
      w.begin_object().field("object", "list").key("data").begin_array().begin_object();
      w.field("id", model_).field("object", "model").field("owned_by", "recording").end_object().end_array().end_object();
      [[maybe_unused]] auto sent = co_await exchange.respond(200, json_fields, body);
    } else if (path == "/health") {
      [[maybe_unused]] auto sent = co_await exchange.respond(200, json_fields, "{\"status\":\"ok\"}");
    } else {
      const Error error(ErrorKind::kNotFound, "A recording answers POST /v1/chat/completions, GET /v1/models and /health.");
      [[maybe_unused]] auto sent = co_await exchange.respond_error(error);
    }
  }

 private:
  net::Awaitable<void> chat(net::Exchange& exchange) {
    const providers::RecordedReply reply = providers::answer_from(*recording_, exchange.body(), model_, reactor_.clock().wall().us / 1'000'000);
    const auto latency_ms = static_cast<std::int64_t>(static_cast<double>(reply.latency_ms) * latency_scale_);
    if (reply.events.empty()) {
      if (latency_ms > 0 && !co_await net::sleep_for(reactor_, latency_ms, exchange.gone())) co_return;
      net::Field json("content-type", "application/json");
      [[maybe_unused]] auto sent = co_await exchange.respond(reply.status, std::span<const net::Field>(&json, 1), reply.body);
      co_return;
    }
    net::Field events("content-type", "text/event-stream");
    exchange.start_stream(200, std::span<const net::Field>(&events, 1));
    const std::int64_t pause_ms = latency_ms / static_cast<std::int64_t>(reply.events.size());
    for (std::size_t i = 0; i < reply.events.size(); ++i) {
      if (pause_ms > 0 && !co_await net::sleep_for(reactor_, pause_ms, exchange.gone())) co_return;
      const bool last = i + 1 == reply.events.size();
      auto sent = last ? co_await exchange.finish(reply.events[i]) : co_await exchange.write(reply.events[i]);
      if (!sent) co_return;
    }
  }

  net::Reactor& reactor_;
  std::shared_ptr<const providers::Recording> recording_;
  std::string model_;
  double latency_scale_;
};

}  // namespace

Result<std::unique_ptr<net::Server>> start_replay_server(ReplayOptions options, std::shared_ptr<const providers::Recording> recording) {
  net::ServerOptions server;
  server.listen = options.listen;
  server.workers = options.workers;
  const std::string model = options.model.empty() ? (recording->model().empty() ? "recorded" : recording->model()) : options.model;
  return net::Server::create(server, [recording, model, scale = options.latency_scale](net::Reactor& reactor) -> Result<std::unique_ptr<net::Service>> {
    return std::make_unique<ReplayService>(reactor, recording, model, scale);
  });
}

}  // namespace understudy::app
