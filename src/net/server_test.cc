#include "net/server.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "net/internal/test_server.h"

namespace understudy::net {
namespace {

using internal::eventually;
using internal::kGet;
using internal::Peer;
using internal::PeerMessage;
using internal::ServerTest;
using internal::TestService;

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

TEST_F(ServerTest, FieldsForwardedByMistakeCannotSplitTheAnswer) {
  start();
  Peer peer = connect();
  peer.send("GET /forwarded-fields HTTP/1.1\r\nHost: a\r\n\r\n");
  const PeerMessage reply = peer.read_response();
  EXPECT_EQ(reply.body, "ok");
  EXPECT_EQ(reply.find("connection"), "(absent)");
  EXPECT_EQ(reply.find("x"), "1  y: 2");
  EXPECT_EQ(reply.find("y"), "(absent)");
  peer.send(kGet);
  EXPECT_EQ(peer.read_response().body, "GET q|");
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
    return make_service(+[](Exchange& exchange) -> Awaitable<void> { co_await exchange.respond(200, kNoFields, exchange.peer()); });
  });
  if (!server) GTEST_SKIP() << "this machine has no IPv6 loopback: " << server.error().message;
  EXPECT_EQ((*server)->address(), "[::1]:" + std::to_string((*server)->port()));
}

}  // namespace
}  // namespace understudy::net
