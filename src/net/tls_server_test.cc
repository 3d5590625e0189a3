// TLS for listening: what a client sees of the server's end.
#include <gtest/gtest.h>

#include <array>
#include <csignal>
#include <cstdio>

#include "net/internal/test_server.h"
#include "net/internal/test_tls.h"

namespace understudy::net {
namespace {

using internal::eventually;
using internal::Identity;
using internal::kGet;
using internal::make_identity;
using internal::Peer;
using internal::PeerMessage;
using internal::TlsClient;
using internal::write_pem;

class TlsServerTest : public internal::ServerTest {
 protected:
  static void SetUpTestSuite() { ::signal(SIGPIPE, SIG_IGN); }  // the clients' OpenSSL raises it

  TlsServerTest() : authority_(make_identity(nullptr, nullptr)) {
    auto made = context(make_identity(&authority_, "DNS:localhost"));
    EXPECT_TRUE(made) << made.error().message;
    options_.tls = std::move(*made);
  }
  ~TlsServerTest() override {
    for (const std::string& file : files_) std::remove(file.c_str());
  }

  std::string keep(std::string file) { return files_.emplace_back(std::move(file)); }
  Result<std::shared_ptr<const TlsServerContext>> context(const Identity& identity) {
    return TlsServerContext::create(keep(write_pem("cert", identity, false)), keep(write_pem("key", identity, true)), clock_.wall());
  }
  TlsClient tls(const std::function<void(SSL*)>& prepare = {}) { return {server_->port(), authority_, prepare}; }
  void expect_unusable(const std::string& cert, const std::string& key, const std::string& place, const char* word) {
    auto made = TlsServerContext::create(cert, key, clock_.wall());
    ASSERT_FALSE(made) << word;
    EXPECT_EQ(made.error().kind, ErrorKind::kConfig);
    EXPECT_NE(made.error().message.find(place), std::string::npos) << made.error().message;
    EXPECT_NE(made.error().message.find(word), std::string::npos) << made.error().message;
  }

  Identity authority_;
  std::vector<std::string> files_;
};

TEST_F(TlsServerTest, AnswersKeepsTheConnectionAndStreams) {
  start();
  TlsClient client = tls();
  ASSERT_TRUE(client.ready()) << client.failure();
  for (int i = 0; i < 3; ++i) {
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    EXPECT_EQ(client.read_response().body, "POST |hello");
  }
  client.send("GET /stream HTTP/1.1\r\nHost: a\r\n\r\nGET /echo?early HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(client.read_response().body, "data: a\n\ndata: b\n\ndata: [DONE]\n\n");
  EXPECT_EQ(client.read_response().body, "GET early|");
  EXPECT_TRUE(client.closed());
  EXPECT_TRUE(client.ended_properly());
  EXPECT_EQ(server_->stats().accepted, 1u);
  EXPECT_EQ(server_->stats().failed_handshakes, 0u);
}

TEST_F(TlsServerTest, CarriesLargeBodiesBothWays) {
  start();
  TlsClient client = tls();
  std::string big(3'000'000, 'x');
  for (std::size_t i = 0; i < big.size(); ++i) big[i] = static_cast<char>('a' + i % 23);
  // The answer begins after the whole request, so one thread can do both ends in turn.
  client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(big.size()) + "\r\n\r\n");
  client.send(big);
  EXPECT_TRUE(client.read_response().body == "POST |" + big);
  client.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");  // more than any socket buffer: written as the client reads
  EXPECT_TRUE(client.read_response().body == std::string(24 << 20, 'b'));
}

TEST_F(TlsServerTest, SpeaksTls12And13AndNothingOlder) {
  start();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsClient client = tls([version](SSL* ssl) {
      SSL_set_min_proto_version(ssl, version);
      SSL_set_max_proto_version(ssl, version);
    });
    ASSERT_TRUE(client.ready()) << client.failure();
    client.send(kGet);
    EXPECT_EQ(client.read_response().body, "GET q|");
  }
  TlsClient old = tls([](SSL* ssl) {
    SSL_set_security_level(ssl, 0);
    SSL_set_min_proto_version(ssl, TLS1_1_VERSION);
    SSL_set_max_proto_version(ssl, TLS1_1_VERSION);
  });
  EXPECT_FALSE(old.ready());
  EXPECT_TRUE(eventually([&] { return server_->stats().failed_handshakes == 1; }));
}

TEST_F(TlsServerTest, ChoosesHttp11WhateverElseTheClientOffers) {
  start();
  const auto offering = [this](const char* protocols, unsigned size) {
    return tls([=](SSL* ssl) { SSL_set_alpn_protos(ssl, reinterpret_cast<const unsigned char*>(protocols), size); });
  };
  TlsClient both = offering("\x02h2\x08http/1.1", 12);
  ASSERT_TRUE(both.ready()) << both.failure();
  EXPECT_EQ(both.protocol(), "http/1.1");
  TlsClient silent = tls();
  EXPECT_TRUE(silent.ready());
  EXPECT_EQ(silent.protocol(), "");
  TlsClient newer = offering("\x02h2", 3);
  EXPECT_FALSE(newer.ready());
  EXPECT_NE(newer.failure().find("no application protocol"), std::string::npos) << newer.failure();
}

TEST_F(TlsServerTest, ResumesSessions) {
  start();
  TlsClient first = tls();
  first.send(kGet);
  EXPECT_EQ(first.read_response().status, 200);  // the tickets came before it
  SSL_SESSION* session = SSL_get1_session(first.ssl());
  TlsClient second = tls([session](SSL* ssl) { SSL_set_session(ssl, session); });
  EXPECT_TRUE(second.ready());
  EXPECT_EQ(SSL_session_reused(second.ssl()), 1);
  SSL_SESSION_free(session);
}

TEST_F(TlsServerTest, TellsPlainHttpWhereItIs) {
  start();
  Peer peer = connect();
  peer.send(kGet);
  const PeerMessage reply = peer.read_response();
  EXPECT_EQ(reply.status, 400);
  EXPECT_NE(reply.body.find("https://"), std::string::npos) << reply.body;
  EXPECT_EQ(reply.find("connection"), "close");
  EXPECT_TRUE(peer.closed());
  EXPECT_EQ(shared_.entered, 0);
  EXPECT_TRUE(eventually([&] { return server_->stats().failed_handshakes == 1; }));
}

TEST_F(TlsServerTest, ClosesOnNoise) {
  start();
  for (const std::string_view noise : {std::string_view("\0\0\0\0\0\0\0\0", 8), std::string_view("SSH-2.0-client\r\n"), std::string_view("\x16\x03\x01\xff\xff", 5)}) {
    Peer peer = connect();
    peer.send(noise);
    peer.half_close();
    EXPECT_LT(peer.read_to_end().size(), 100u);  // an alert at most
  }
  EXPECT_TRUE(eventually([&] { return server_->stats().failed_handshakes == 3 && server_->stats().connections == 0; }));
  EXPECT_TRUE(tls().ready());
}

TEST_F(TlsServerTest, ClosesAHandshakeThatHangs) {
  start();
  Peer silent = connect();
  Peer slow = connect();
  slow.send(std::string_view("\x16\x03\x01\x02", 4));
  ASSERT_TRUE(eventually([&] { return server_->stats().connections == 2; }));
  clock_.push_ms(options_.limits.head_ms - 1'000);
  EXPECT_TRUE(tls().ready()) << "and others are served meanwhile";
  EXPECT_EQ(server_->stats().failed_handshakes, 0u);
  clock_.push_ms(1'100);
  EXPECT_TRUE(silent.closed());
  EXPECT_TRUE(slow.closed());
  EXPECT_EQ(server_->stats().failed_handshakes, 2u);
}

TEST_F(TlsServerTest, AClientMayTakeItsTimeByteByByte) {
  start();
  Peer wire = connect();
  std::unique_ptr<SSL_CTX, internal::FreeContext> context(SSL_CTX_new(TLS_client_method()));
  std::unique_ptr<SSL, internal::FreeSsl> ssl(SSL_new(context.get()));
  BIO* in = BIO_new(BIO_s_mem());
  BIO* out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl.get(), in, out);
  SSL_set_connect_state(ssl.get());
  const auto flush = [&] {
    char* bytes = nullptr;
    const long size = BIO_get_mem_data(out, &bytes);
    wire.send_bytewise({bytes, static_cast<std::size_t>(size)});
    BIO_reset(out);
  };
  const auto feed = [&] {
    const std::string one = wire.read_bytes(1);
    ASSERT_EQ(one.size(), 1u);
    BIO_write(in, one.data(), 1);
  };
  while (SSL_do_handshake(ssl.get()) != 1) {
    flush();
    ASSERT_NO_FATAL_FAILURE(feed());
  }
  ASSERT_EQ(SSL_write(ssl.get(), kGet.data(), static_cast<int>(kGet.size())), static_cast<int>(kGet.size()));
  flush();
  std::array<char, 4096> answer{};
  int got = 0;
  while ((got = SSL_read(ssl.get(), answer.data(), answer.size())) <= 0) ASSERT_NO_FATAL_FAILURE(feed());
  EXPECT_NE(std::string_view(answer.data(), static_cast<std::size_t>(got)).find("200 OK"), std::string_view::npos);
}

TEST_F(TlsServerTest, TellsTheHandlerThatItsClientHasGone) {
  start();
  {
    TlsClient client = tls();
    client.send("GET /wait-gone HTTP/1.1\r\nHost: a\r\n\r\n");
    ASSERT_TRUE(eventually([&] { return shared_.entered == 1; }));
  }
  EXPECT_TRUE(eventually([&] { return shared_.gone == 1; }));
}

TEST_F(TlsServerTest, BeatsWhileTheHandlerIsBusy) {
  start();
  TlsClient client = tls();
  client.send("GET /beat HTTP/1.1\r\nHost: a\r\n\r\n");
  client.read_until("\r\n\r\n");
  for (int i = 0; i < 3; ++i) {
    EXPECT_NE(client.read_until(": beat\n\n"), "");
    clock_.push_ms(10);
  }
  shared_.release = true;
  EXPECT_NE(client.read_until("data: end\n\n\r\n0\r\n\r\n"), "");
}

TEST_F(TlsServerTest, AnAnswerCutShortHasNoProperEnd) {
  start();
  TlsClient chunked = tls();
  chunked.send("GET /abort HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_TRUE(chunked.read_response().truncated);
  TlsClient old = tls();
  old.send("GET /abort HTTP/1.0\r\nHost: a\r\n\r\n");
  old.read_until("half");
  EXPECT_TRUE(old.closed());
  EXPECT_FALSE(old.ended_properly()) << "the end of the connection is the end of the body";
}

TEST_F(TlsServerTest, RefusesWithAnErrorThatArrives) {
  start();
  TlsClient client = tls();
  client.send("BROKEN\r\n\r\n");
  const PeerMessage reply = client.read_response();
  EXPECT_EQ(reply.status, 400);
  EXPECT_TRUE(client.closed());
  EXPECT_TRUE(client.ended_properly());
}

TEST_F(TlsServerTest, DrainFinishesWhatIsInFlightAndClosesTheRest) {
  start();
  TlsClient idle = tls();
  idle.send(kGet);
  EXPECT_EQ(idle.read_response().status, 200);
  Peer shaking = connect();
  TlsClient busy = tls();
  busy.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(eventually([&] { return shared_.entered == 2 && server_->stats().connections == 3; }));
  std::thread drainer([&] { server_->drain(20'000); });
  EXPECT_TRUE(idle.closed());
  EXPECT_TRUE(idle.ended_properly());
  EXPECT_TRUE(shaking.closed());
  shared_.release = true;
  const PeerMessage reply = busy.read_response();
  EXPECT_EQ(reply.body, "held");
  EXPECT_EQ(reply.find("connection"), "close");
  EXPECT_TRUE(busy.closed());
  EXPECT_TRUE(busy.ended_properly());
  drainer.join();
}

TEST_F(TlsServerTest, ANewCertificateIsForNewConnections) {
  options_.workers = 2;
  start();
  TlsClient before = tls();
  ASSERT_TRUE(before.ready()) << before.failure();
  const Identity next = make_identity(&authority_, "DNS:localhost");
  auto made = context(next);
  ASSERT_TRUE(made) << made.error().message;
  server_->set_tls(std::move(*made));
  for (int i = 0; i < 8; ++i) {
    TlsClient after = tls();
    ASSERT_TRUE(after.ready()) << after.failure();
    std::unique_ptr<X509, internal::FreeCert> shown(SSL_get1_peer_certificate(after.ssl()));
    EXPECT_EQ(X509_cmp(shown.get(), next.cert.get()), 0);
  }
  before.send(kGet);
  EXPECT_EQ(before.read_response().status, 200);
  server_->set_tls(nullptr);
  EXPECT_EQ(ask(kGet).status, 200);
}

TEST_F(TlsServerTest, SaysWhatIsWrongWithTheFiles) {
  const Identity one = make_identity(&authority_, "DNS:localhost");
  const std::string cert = keep(write_pem("one_cert", one, false));
  const std::string key = keep(write_pem("one_key", one, true));
  const std::string other = keep(write_pem("other_key", make_identity(&authority_, "DNS:localhost"), true));
  const std::string encrypted = keep(testing::TempDir() + "understudy_tls_encrypted" + std::to_string(::getpid()));
  std::FILE* file = std::fopen(encrypted.c_str(), "w");
  PEM_write_PrivateKey(file, one.key.get(), EVP_aes_128_cbc(), nullptr, 0, nullptr, const_cast<char*>("secret"));
  std::fclose(file);
  expect_unusable("/nonexistent/cert.pem", key, "/nonexistent/cert.pem", "No such file");
  expect_unusable(cert, "/nonexistent/key.pem", "/nonexistent/key.pem", "No such file");
  expect_unusable(key, key, key, "certificate in PEM form");
  expect_unusable(cert, cert, cert, "no private key");
  expect_unusable(cert, other, other, "does not belong to the certificate");
  expect_unusable(cert, encrypted, encrypted, "encrypted");
}

TEST_F(TlsServerTest, WarnsOfDates) {
  constexpr long kDay = 86'400;
  const auto warning = [this](long valid_s, long since_s) {
    auto made = context(make_identity(&authority_, "DNS:localhost", valid_s, since_s));
    if (!made) return made.error().message;
    return (*made)->warnings().empty() ? std::string() : (*made)->warnings().front();
  };
  EXPECT_EQ(warning(15 * kDay, 0), "");
  EXPECT_NE(warning(13 * kDay, 0).find("expires on"), std::string::npos);
  EXPECT_NE(warning(-60, kDay).find("expired on"), std::string::npos);
  EXPECT_NE(warning(kDay, -3600).find("not valid before"), std::string::npos);
}

}  // namespace
}  // namespace understudy::net
