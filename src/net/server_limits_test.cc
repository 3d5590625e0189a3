// Where the server says no, or has had enough: limits, time-outs, clients that leave.
#include <gtest/gtest.h>

#include "net/internal/test_server.h"
#include "net/server.h"

namespace understudy::net {
namespace {

using internal::eventually;
using internal::kGet;
using internal::Peer;
using internal::PeerMessage;
using ServerLimitsTest = internal::ServerTest;

TEST_F(ServerLimitsTest, DoesNotInviteABodyThatIsTooLarge) {
  options_.limits.body_bytes = 10;
  start();
  Peer peer = connect();
  peer.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(peer.read_response().status, 413);
}

TEST_F(ServerLimitsTest, RefusesBadRequestsWithAnErrorThatSaysWhy) {
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

TEST_F(ServerLimitsTest, ARefusalReachesAClientThatIsStillSending) {
  options_.limits.body_bytes = 1000;
  start();
  Peer peer = connect();
  peer.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n");
  peer.send(std::string(4'000'000, 'x'));
  EXPECT_EQ(peer.read_response().status, 413);
}

TEST_F(ServerLimitsTest, TellsASlowClientThatItsTimeIsUp) {
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

TEST_F(ServerLimitsTest, ClosesIdleConnectionsSilently) {
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

TEST_F(ServerLimitsTest, ALongHandlerIsNotATimeOut) {
  start();
  Peer peer = connect();
  peer.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return shared_.entered == 1; }));
  clock_.push_ms(3'600'000);
  std::this_thread::sleep_for(std::chrono::milliseconds(250));  // two ticks
  shared_.release = true;
  EXPECT_EQ(peer.read_response().body, "held");
}

TEST_F(ServerLimitsTest, GivesUpOnAClientThatTakesNothing) {
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

TEST_F(ServerLimitsTest, AStreamEndsWhenItsClientLeaves) {
  start();
  Peer peer = connect();
  peer.send("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n");
  peer.read_bytes(100'000);
  peer.reset();
  EXPECT_TRUE(eventually([&] { return shared_.write_error == static_cast<int>(ErrorKind::kCancelled); }));
}

TEST_F(ServerLimitsTest, ALargeAnswerArrivesWholeAtASlowReader) {
  start();
  Peer peer = connect();
  peer.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const PeerMessage reply = peer.read_response();
  EXPECT_EQ(reply.body, std::string(24 << 20, 'b'));
  peer.send(kGet);
  EXPECT_EQ(peer.read_response().status, 200);
}

TEST_F(ServerLimitsTest, TellsTheHandlerThatItsClientHasGone) {
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

TEST_F(ServerLimitsTest, PipelinedBytesDoNotLookLikeLeaving) {
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

TEST_F(ServerLimitsTest, RefusesConnectionsAndRequestsOverTheLimits) {
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

}  // namespace
}  // namespace understudy::net
