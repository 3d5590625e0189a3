#pragma once
/// The server that the server's tests talk to: handlers by path, and a fixture that starts it.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "net/internal/test_peer.h"
#include "net/server.h"
#include "net/timer.h"

namespace understudy::net::internal {

/// What the test and the handlers, on their threads, tell each other.
struct Shared {
  std::atomic<bool> release{false};
  std::atomic<int> entered{0};
  std::atomic<int> gone{0};
  std::atomic<int> shut_down{0};
  std::atomic<int> write_error{-1};
};

template <typename Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < 20'000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

class TestService final : public Service {
 public:
  explicit TestService(Shared& shared) : shared_(shared) {}

  Awaitable<void> handle(Exchange& exchange) override {
    ++shared_.entered;
    const std::string_view path = exchange.head().path;
    if (path == "/echo") {
      const std::array<std::string_view, 4> pieces{exchange.head().method, " ", exchange.head().query, "|"};
      std::vector<std::string_view> body(pieces.begin(), pieces.end());
      body.push_back(exchange.body());
      const std::array<Field, 1> fields{{{"content-type", "text/plain"}}};
      co_await exchange.respond(200, fields, body);
    } else if (path == "/peer") {
      co_await exchange.respond(200, kNoFields, exchange.peer());
    } else if (path == "/stream") {
      co_await stream(exchange);
    } else if (path == "/empty-stream") {
      exchange.start_stream(200, {});
      co_await exchange.finish(std::string_view());
    } else if (path == "/forwarded-fields") {
      const std::array<Field, 5> fields{{{"Content-Length", "999"},
                                         {"transfer-encoding", "chunked"},
                                         {"Connection", "close"},
                                         {"x", "1\r\ny: 2"},
                                         {"Date", "never"}}};
      co_await exchange.respond(200, fields, std::string_view("ok"));
    } else if (path == "/no-content") {
      co_await exchange.respond(204, kNoFields, std::string_view("dropped"));
    } else if (path == "/wait-gone") {
      Event gone(exchange.reactor());
      CancelHook hook(exchange.gone(), [&] { gone.set(); });
      co_await gone.wait();
      EXPECT_TRUE(exchange.client_gone());
      ++shared_.gone;
    } else if (path == "/hold") {
      while (!shared_.release && !exchange.client_gone()) co_await sleep_for(exchange.reactor(), 1);
      if (!exchange.client_gone()) co_await exchange.respond(200, kNoFields, std::string_view("held"));
    } else if (path == "/throw") {
      throw std::runtime_error("handler");
    } else if (path == "/abort") {
      exchange.start_stream(200, {});
      co_await exchange.write(std::string_view("half"));
      exchange.abort();
      auto after = co_await exchange.write(std::string_view("never"));
      EXPECT_FALSE(after);
    } else if (path == "/unfinished") {
      exchange.start_stream(200, {});
      co_await exchange.write(std::string_view("half"));
    } else if (path == "/big") {
      const std::string big(24 << 20, 'b');
      co_await exchange.respond(200, kNoFields, big);
    } else if (path == "/endless") {
      exchange.start_stream(200, {});
      const std::string piece(64 * 1024, 'e');
      for (;;) {
        auto written = co_await exchange.write(piece);
        if (!written) {
          shared_.write_error = static_cast<int>(written.error().kind);
          break;
        }
      }
    } else if (path == "/beat") {
      co_await beat(exchange);
    } else if (path == "/release-request") {
      exchange.release_request();
      EXPECT_TRUE(exchange.body().empty());
      co_await exchange.respond(200, kNoFields, std::string_view("released"));
    } else if (path == "/error") {
      Error error(ErrorKind::kRateLimited, "slow \"down\"", "model");
      error.retry_after_ms = 1500;
      co_await exchange.respond_error(error);
    } else if (path != "/nothing") {
      co_await exchange.respond(404, kNoFields, std::string_view("no such path"));
    }
  }

  Awaitable<void> shut_down() override {
    ++shared_.shut_down;
    co_return;
  }

 private:
  static Awaitable<void> stream(Exchange& exchange) {
    const std::array<Field, 1> fields{{{"content-type", "text/event-stream"}}};
    exchange.start_stream(200, fields);
    const std::array<std::string_view, 3> pieces{"data: ", "a", "\n\n"};
    auto written = co_await exchange.write(pieces);
    EXPECT_TRUE(written);
    written = co_await exchange.write(std::string_view());
    EXPECT_TRUE(written);
    written = co_await exchange.write(std::string_view("data: b\n\n"));
    EXPECT_TRUE(written);
    written = co_await exchange.finish(std::string_view("data: [DONE]\n\n"));
    EXPECT_TRUE(written);
  }

  Awaitable<void> beat(Exchange& exchange) {
    exchange.heartbeat(1, [&exchange]() -> std::string_view {
      if (!exchange.answered()) exchange.start_stream(200, {});
      return ": beat\n\n";
    });
    while (!shared_.release) co_await sleep_for(exchange.reactor(), 1);
    exchange.heartbeat(0, nullptr);
    co_await exchange.finish(std::string_view("data: end\n\n"));
  }

  Shared& shared_;
};

class ServerTest : public testing::Test {
 protected:
  ServerTest() {
    options_.workers = 1;
    options_.clock = &clock_;
  }
  void start() {
    auto server = Server::create(options_, [this](Reactor&) -> Result<std::unique_ptr<Service>> {
      return std::make_unique<TestService>(shared_);
    });
    ASSERT_TRUE(server) << server.error().message;
    server_ = std::move(*server);
  }
  Peer connect() { return Peer(server_->port()); }
  PeerMessage ask(std::string_view text) {
    Peer peer = connect();
    peer.send(text);
    return peer.read_response();
  }
  void expect_refused(std::string_view text, int status, std::string_view word) {
    Peer peer = connect();
    peer.send(text);
    const PeerMessage reply = peer.read_response();
    EXPECT_EQ(reply.status, status) << text.substr(0, 200);
    EXPECT_NE(reply.body.find(word), std::string::npos) << reply.body;
    EXPECT_NE(reply.body.find("{\"error\":{\"message\":"), std::string::npos) << reply.body;
    EXPECT_EQ(reply.find("connection"), "close");
    peer.half_close();
    EXPECT_TRUE(peer.closed());
  }

  PushedClock clock_;
  Shared shared_;
  ServerOptions options_;
  std::unique_ptr<Server> server_;
};

inline constexpr std::string_view kGet = "GET /echo?q HTTP/1.1\r\nHost: a\r\n\r\n";

}  // namespace understudy::net::internal
