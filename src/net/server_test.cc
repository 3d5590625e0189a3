#include "net/server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>

#include "base/random.h"
#include "net/internal/test_peer.h"
#include "net/timer.h"

namespace understudy::net {
namespace {

using internal::Peer;
using internal::PeerMessage;
using internal::PushedClock;

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
      co_await exchange.respond(200, {}, exchange.peer());
    } else if (path == "/stream") {
      co_await stream(exchange);
    } else if (path == "/empty-stream") {
      exchange.start_stream(200, {});
      co_await exchange.finish(std::string_view());
    } else if (path == "/no-content") {
      co_await exchange.respond(204, {}, std::string_view("dropped"));
    } else if (path == "/wait-gone") {
      Event gone(exchange.reactor());
      CancelHook hook(exchange.gone(), [&] { gone.set(); });
      co_await gone.wait();
      EXPECT_TRUE(exchange.client_gone());
      ++shared_.gone;
    } else if (path == "/hold") {
      while (!shared_.release && !exchange.client_gone()) co_await sleep_for(exchange.reactor(), 1);
      if (!exchange.client_gone()) co_await exchange.respond(200, {}, std::string_view("held"));
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
      co_await exchange.respond(200, {}, big);
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
      co_await exchange.respond(200, {}, std::string_view("released"));
    } else if (path == "/error") {
      Error error(ErrorKind::kRateLimited, "slow \"down\"", "model");
      error.retry_after_ms = 1500;
      co_await exchange.respond_error(error);
    } else if (path != "/nothing") {
      co_await exchange.respond(404, {}, std::string_view("no such path"));
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

constexpr std::string_view kGet = "GET /echo?q HTTP/1.1\r\nHost: a\r\n\r\n";

TEST_F(ServerTest, AnswersAndKeepsTheConnection) {
  start();
  Peer peer = connect();
  for (int i = 0; i < 3; ++i) {
    peer.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    const PeerMessage reply = peer.read_response();
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.body, "POST |hello");
    EXPECT_EQ(reply.find("content-type"), "text/plain");
    EXPECT_EQ(reply.find("connection"), "(absent)");
    EXPECT_NE(reply.find("date").find(" GMT"), std::string::npos);
  }
  const ServerStats stats = server_->stats();
  EXPECT_EQ(stats.accepted, 1u);
  EXPECT_EQ(stats.requests, 3u);
  EXPECT_EQ(ask("GET /peer HTTP/1.1\r\nHost: a\r\n\r\n").body, "127.0.0.1");
  EXPECT_EQ(ask("POST /release-request HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").body, "released");
}

TEST_F(ServerTest, ServesPipelinedRequestsInOrderHoweverTheyAreCut) {
  start();
  const std::string requests =
      "GET /echo?1 HTTP/1.1\r\nHost: a\r\n\r\n"
      "POST /echo?2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
      "\r\nPOST /echo?3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n1;x\r\nf\r\n0\r\nT: v\r\n\r\n"
      "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n"
      "GET /echo?5 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
  SeededRandom random(11);
  for (int round = 0; round < 30; ++round) {
    Peer peer = connect();
    std::string_view rest = requests;
    while (!rest.empty()) {
      const std::size_t size = round == 0 ? rest.size() : std::min<std::size_t>(rest.size(), 1 + random.below(round == 1 ? 1 : 60));
      peer.send(rest.substr(0, size));
      rest.remove_prefix(size);
    }
    EXPECT_EQ(peer.read_response().body, "GET 1|");
    EXPECT_EQ(peer.read_response().body, "POST 2|abc");
    EXPECT_EQ(peer.read_response().body, "POST 3|def");
    EXPECT_EQ(peer.read_response().body, "data: a\n\ndata: b\n\ndata: [DONE]\n\n");
    const PeerMessage last = peer.read_response();
    EXPECT_EQ(last.body, "GET 5|");
    EXPECT_EQ(last.find("connection"), "close");
    EXPECT_TRUE(peer.closed());
    EXPECT_FALSE(peer.was_reset());
  }
}

TEST_F(ServerTest, InvitesABodyThatWaitsForIt) {
  start();
  Peer peer = connect();
  peer.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(peer.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  peer.send("ok");
  EXPECT_EQ(peer.read_response().body, "POST |ok");
}

TEST_F(ServerTest, DoesNotInviteABodyThatIsTooLarge) {
  options_.limits.body_bytes = 10;
  start();
  Peer peer = connect();
  peer.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(peer.read_response().status, 413);
}

TEST_F(ServerTest, StreamsInChunks) {
  start();
  Peer peer = connect();
  peer.send("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
  const PeerMessage reply = peer.read_response();
  EXPECT_EQ(reply.find("transfer-encoding"), "chunked");
  EXPECT_EQ(reply.find("content-length"), "(absent)");
  EXPECT_EQ(reply.body, "data: a\n\ndata: b\n\ndata: [DONE]\n\n");
  peer.send("GET /empty-stream HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(peer.read_response().body, "");
  peer.send(kGet);
  EXPECT_EQ(peer.read_response().body, "GET q|");
}

TEST_F(ServerTest, SpeaksHttp10) {
  start();
  const PeerMessage stream = ask("GET /stream HTTP/1.0\r\n\r\n");
  EXPECT_EQ(stream.find("transfer-encoding"), "(absent)");
  EXPECT_EQ(stream.find("connection"), "close");
  EXPECT_EQ(stream.body, "data: a\n\ndata: b\n\ndata: [DONE]\n\n");
  EXPECT_FALSE(stream.truncated);

  Peer peer = connect();
  peer.send("GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(peer.read_response().find("connection"), "keep-alive");
  peer.send("GET /echo HTTP/1.0\r\n\r\n");
  EXPECT_EQ(peer.read_response().find("connection"), "close");
  EXPECT_TRUE(peer.closed());
}

TEST_F(ServerTest, AnswersToHeadHaveNoBody) {
  start();
  Peer peer = connect();
  peer.send("HEAD /echo HTTP/1.1\r\nHost: a\r\n\r\nHEAD /stream HTTP/1.1\r\nHost: a\r\n\r\nGET /no-content HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(peer.read_response(true).find("content-length"), "6");
  EXPECT_EQ(peer.read_response(true).status, 200);
  const PeerMessage none = peer.read_response();
  EXPECT_EQ(none.status, 204);
  EXPECT_EQ(none.find("content-length"), "(absent)");
  peer.send(kGet);
  EXPECT_EQ(peer.read_response().body, "GET q|");
}

TEST_F(ServerTest, AHandlerThatDoesNotAnswerGivesA500) {
  start();
  Peer peer = connect();
  peer.send("GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(peer.read_response().status, 500);
  peer.send("GET /throw HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(peer.read_response().status, 500);
  peer.send(kGet);
  EXPECT_EQ(peer.read_response().status, 200);
}

TEST_F(ServerTest, AStreamThatIsCutShortLooksCutShort) {
  start();
  for (const char* path : {"/abort", "/unfinished"}) {
    const PeerMessage chunked = ask(std::string("GET ") + path + " HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_EQ(chunked.body, "half");
    EXPECT_TRUE(chunked.truncated) << path;
    EXPECT_TRUE(ask(std::string("GET ") + path + " HTTP/1.0\r\n\r\n").truncated) << path;
  }
}

TEST_F(ServerTest, RefusesBadRequestsWithAnErrorThatSaysWhy) {
  options_.limits.head.bytes = 1024;
  options_.limits.body_bytes = 100;
  start();
  const std::string post = "POST /echo HTTP/1.1\r\nHost: a\r\n";
  expect_refused(post + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "both Content-Length");
  expect_refused("nonsense\r\n\r\n", 400, "malformed request line");
  expect_refused("GET / HTTP/1.1\nHost: a\n\n", 400, "bare LF");
  expect_refused("GET / HTTP/3.0\r\nHost: a\r\n\r\n", 501, "HTTP/3.0");
  expect_refused(post + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "chunk");
  expect_refused(post + "Content-Length: 101\r\n\r\n", 413, "101 bytes");
  expect_refused(post + "Transfer-Encoding: chunked\r\n\r\n65\r\n" + std::string(101, 'x'), 413, "longer than 100");
  expect_refused(post + "X: " + std::string(2000, 'x') + "\r\n\r\n", 431, "longer than 1024");
  EXPECT_EQ(server_->stats().bad_requests, 8u);
  EXPECT_EQ(server_->stats().requests, 0u);
}

TEST_F(ServerTest, ARefusalReachesAClientThatIsStillSending) {
  options_.limits.body_bytes = 1000;
  start();
  Peer peer = connect();
  peer.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n");
  peer.send(std::string(4'000'000, 'x'));
  EXPECT_EQ(peer.read_response().status, 413);
}

TEST_F(ServerTest, ErrorsHaveTheOpenAiFormUnlessReplaced) {
  start();
  const PeerMessage reply = ask("GET /error HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(reply.status, 429);
  EXPECT_EQ(reply.find("content-type"), "application/json");
  EXPECT_EQ(reply.find("retry-after-ms"), "1500");
  EXPECT_EQ(reply.find("retry-after"), "2");
  EXPECT_EQ(reply.body,
            R"({"error":{"message":"slow \"down\"","type":"rate_limit_error","param":"model","code":"rate_limit_exceeded"}})");
  EXPECT_EQ(openai_error_body(Error(ErrorKind::kInvalidRequest, "x")),
            R"({"error":{"message":"x","type":"invalid_request_error","param":null,"code":null}})");
  server_.reset();
  options_.format_error = [](const Error& error, std::string_view path) { return std::string(path) + "!" + error.message; };
  start();
  EXPECT_EQ(ask("GET /error HTTP/1.1\r\nHost: a\r\n\r\n").body, "/error!slow \"down\"");
}

TEST_F(ServerTest, TellsASlowClientThatItsTimeIsUp) {
  start();
  {
    Peer peer = connect();
    peer.send("GET /echo HTTP/1.1\r\nHo");
    ASSERT_TRUE(eventually([&] { return server_->stats().connections == 1; }));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    clock_.push_ms(10'500);
    const PeerMessage reply = peer.read_response();
    EXPECT_EQ(reply.status, 408);
    EXPECT_NE(reply.body.find("header"), std::string::npos);
    peer.half_close();
    EXPECT_TRUE(peer.closed());
  }
  {
    Peer peer = connect();
    peer.send("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n");
    peer.read_until("\r\n\r\n");  // the invitation: the server is waiting for the body now
    peer.send("123");
    clock_.push_ms(60'500);
    const PeerMessage reply = peer.read_response();
    EXPECT_EQ(reply.status, 408);
    EXPECT_NE(reply.body.find("body"), std::string::npos);
  }
}

TEST_F(ServerTest, ClosesIdleConnectionsSilently) {
  start();
  Peer never_used = connect();
  Peer used = connect();
  used.send(kGet);
  EXPECT_EQ(used.read_response().status, 200);
  ASSERT_TRUE(eventually([&] { return server_->stats().connections == 2; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  clock_.push_ms(76'000);
  EXPECT_TRUE(never_used.closed());
  EXPECT_TRUE(used.closed());
  EXPECT_TRUE(eventually([&] { return server_->stats().connections == 0; }));
}

TEST_F(ServerTest, ALongHandlerIsNotATimeOut) {
  start();
  Peer peer = connect();
  peer.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return shared_.entered == 1; }));
  clock_.push_ms(3'600'000);
  std::this_thread::sleep_for(std::chrono::milliseconds(250));  // two ticks
  shared_.release = true;
  EXPECT_EQ(peer.read_response().body, "held");
}

TEST_F(ServerTest, GivesUpOnAClientThatTakesNothing) {
  start();
  Peer peer = connect();
  peer.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return shared_.entered == 1; }));
  for (int i = 0; i < 200 && shared_.write_error == -1; ++i) {
    clock_.push_ms(61'000);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  EXPECT_EQ(shared_.write_error, static_cast<int>(ErrorKind::kIo));
}

TEST_F(ServerTest, AStreamEndsWhenItsClientLeaves) {
  start();
  Peer peer = connect();
  peer.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
  peer.read_bytes(100'000);
  peer.reset();
  EXPECT_TRUE(eventually([&] { return shared_.write_error == static_cast<int>(ErrorKind::kCancelled); }));
}

TEST_F(ServerTest, ALargeAnswerArrivesWholeAtASlowReader) {
  start();
  Peer peer = connect();
  peer.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const PeerMessage reply = peer.read_response();
  EXPECT_EQ(reply.body, std::string(24 << 20, 'b'));
  peer.send(kGet);
  EXPECT_EQ(peer.read_response().status, 200);
}

TEST_F(ServerTest, TellsTheHandlerThatItsClientHasGone) {
  start();
  Peer polite = connect();
  polite.send("GET /wait-gone HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return shared_.entered == 1; }));
  EXPECT_EQ(shared_.gone, 0);
  polite.close();
  EXPECT_TRUE(eventually([&] { return shared_.gone == 1; }));

  Peer rude = connect();
  rude.send("GET /wait-gone HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return shared_.entered == 2; }));
  rude.reset();
  EXPECT_TRUE(eventually([&] { return shared_.gone == 2; }));
  EXPECT_TRUE(eventually([&] { return server_->stats().connections == 0; }));
  EXPECT_EQ(server_->stats().clients_gone, 2u);
}

TEST_F(ServerTest, PipelinedBytesDoNotLookLikeLeaving) {
  start();
  Peer peer = connect();
  peer.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return shared_.entered == 1; }));
  peer.send(kGet);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  shared_.release = true;
  EXPECT_EQ(peer.read_response().body, "held");
  EXPECT_EQ(peer.read_response().body, "GET q|");
}

TEST_F(ServerTest, SendsHeartbeatsWhileTheHandlerIsBusy) {
  start();
  Peer peer = connect();
  peer.send("GET /beat HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_NE(peer.read_until("\r\n\r\n").find("200 OK"), std::string::npos);
  const std::string beat = "8\r\n: beat\n\n\r\n";
  EXPECT_EQ(peer.read_bytes(beat.size()), beat);
  shared_.release = true;
  const std::string rest = peer.read_until("0\r\n\r\n");
  EXPECT_NE(rest.find("data: end\n\n"), std::string::npos);
}

TEST_F(ServerTest, RefusesConnectionsAndRequestsOverTheLimits) {
  options_.limits.connections = 2;
  options_.limits.requests = 1;
  start();
  Peer first = connect();
  first.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return shared_.entered == 1; }));
  Peer second = connect();
  second.send(kGet);
  const PeerMessage refused = second.read_response();
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.find("retry-after-ms"), "1000");
  Peer third = connect();
  EXPECT_EQ(third.read_response().status, 503);
  EXPECT_TRUE(third.closed());
  shared_.release = true;
  EXPECT_EQ(first.read_response().status, 200);
  second.send(kGet);
  EXPECT_EQ(second.read_response().status, 200);
  EXPECT_EQ(server_->stats().refused_requests, 1u);
  EXPECT_EQ(server_->stats().refused_connections, 1u);
}

TEST_F(ServerTest, DrainFinishesWhatIsInFlightAndClosesTheRest) {
  start();
  Peer idle = connect();
  idle.send(kGet);
  EXPECT_EQ(idle.read_response().status, 200);
  Peer busy = connect();
  busy.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return shared_.entered == 2; }));
  std::thread drainer([&] { server_->drain(20'000); });
  EXPECT_TRUE(idle.closed());
  Peer late = connect();
  EXPECT_FALSE(late.connected());
  EXPECT_EQ(shared_.shut_down, 0);
  shared_.release = true;
  const PeerMessage reply = busy.read_response();
  EXPECT_EQ(reply.body, "held");
  EXPECT_EQ(reply.find("connection"), "close");
  EXPECT_TRUE(busy.closed());
  drainer.join();
  EXPECT_EQ(shared_.shut_down, 1);
  EXPECT_EQ(server_->stats().connections, 0u);
}

TEST_F(ServerTest, DrainCancelsWhatDoesNotEnd) {
  start();
  Peer waiting = connect();
  waiting.send("GET /wait-gone HTTP/1.1\r\nHost: a\r\n\r\n");
  Peer endless = connect();
  endless.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return shared_.entered == 2; }));
  server_->drain(0);
  EXPECT_EQ(shared_.gone, 1);
  EXPECT_EQ(shared_.write_error, static_cast<int>(ErrorKind::kCancelled));
  EXPECT_EQ(shared_.shut_down, 1);
}

TEST_F(ServerTest, SaysWhyItCannotListen) {
  start();
  ServerOptions second = options_;
  second.listen = server_->address();
  const auto never = [](Reactor&) -> Result<std::unique_ptr<Service>> {
    ADD_FAILURE() << "no service may be made";
    return fail(ErrorKind::kInternal, "unreachable");
  };
  const std::pair<std::string, std::string> rows[] = {
      {second.listen, "stop the program that uses this port"},
      {"8080", "ADDRESS:PORT"},
      {":8080", "ADDRESS:PORT"},
      {"127.0.0.1:http", "number"},
      {"127.0.0.1:65536", "number"},
      {"192.0.2.1:0", "no such address"},
  };
  for (const auto& [listen, word] : rows) {
    second.listen = listen;
    auto server = Server::create(second, never);
    ASSERT_FALSE(server) << listen;
    EXPECT_EQ(server.error().kind, ErrorKind::kConfig);
    EXPECT_NE(server.error().message.find(word), std::string::npos) << server.error().message;
  }
}

TEST_F(ServerTest, AFactoryThatFailsFailsTheServer) {
  options_.workers = 3;
  std::atomic<int> made{0};
  auto server = Server::create(options_, [&](Reactor& reactor) -> Result<std::unique_ptr<Service>> {
    if (reactor.index() == 1) return fail(ErrorKind::kConfig, "worker 1 has no model");
    ++made;
    return std::make_unique<TestService>(shared_);
  });
  ASSERT_FALSE(server);
  EXPECT_EQ(server.error().message, "worker 1 has no model");
  EXPECT_EQ(made, 2);
  EXPECT_EQ(shared_.shut_down, 2);
}

TEST_F(ServerTest, ManyClientsOnManyReactorsGetTheirOwnAnswers) {
  options_.workers = 4;
  start();
  EXPECT_EQ(server_->workers(), 4u);
  constexpr int kClients = 8;
  constexpr int kRounds = 50;
  std::atomic<int> right{0};
  std::vector<std::thread> clients;
  for (int c = 0; c < kClients; ++c) {
    clients.emplace_back([&, c] {
      for (int connection = 0; connection < 5; ++connection) {
        Peer peer = connect();
        for (int i = 0; i < kRounds / 5; ++i) {
          const std::string body = std::to_string(c) + "-" + std::to_string(connection) + "-" + std::to_string(i);
          peer.send("POST /echo?x HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
          if (peer.read_response().body == "POST x|" + body) ++right;
        }
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(right, kClients * kRounds);
  EXPECT_EQ(server_->stats().requests, static_cast<std::uint64_t>(kClients * kRounds));
  server_->drain(1'000);
  EXPECT_EQ(shared_.shut_down, 4);
}

TEST(Server, ServesOnIpv6) {
  ServerOptions options;
  options.listen = "[::1]:0";
  options.workers = 1;
  auto server = Server::create(options, [](Reactor&) -> Result<std::unique_ptr<Service>> {
    return make_service(+[](Exchange& exchange) -> Awaitable<void> { co_await exchange.respond(200, {}, exchange.peer()); });
  });
  if (!server) GTEST_SKIP() << "this machine has no IPv6 loopback: " << server.error().message;
  EXPECT_EQ((*server)->address(), "[::1]:" + std::to_string((*server)->port()));
}

}  // namespace
}  // namespace understudy::net
