#include "net/tls.h"

#include <gtest/gtest.h>

#include <atomic>
#include <csignal>
#include <filesystem>

#include "net/client.h"
#include "net/internal/test_tls.h"
#include "net/timer.h"

namespace understudy::net {
namespace {

using internal::FreeContext;
using internal::Identity;
using internal::Imposter;
using internal::make_identity;
using internal::Peer;
using internal::PushedClock;
using internal::TlsPeer;
using internal::write_pem;

class TlsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { ::signal(SIGPIPE, SIG_IGN); }  // OpenSSL's own sockets, in the imposter, raise it

  TlsTest() : authority_(make_identity(nullptr, nullptr)) {
    ReactorOptions options;
    options.clock = &clock_;
    options.tick_ms = 5;
    reactor_ = std::move(*Reactor::create(options));
    pem_ = write_pem("authority", authority_, false);
    use(make_identity(&authority_, "DNS:localhost,IP:127.0.0.1"));
    TlsClientOptions tls;
    tls.system_store = false;
    tls.ca_file = pem_;
    auto made = TlsClientContext::create(tls);
    EXPECT_TRUE(made) << made.error().message;
    options_.tls = std::move(*made);
  }
  ~TlsTest() override { std::filesystem::remove(pem_); }

  void use(const Identity& identity) {
    context_.reset(SSL_CTX_new(TLS_server_method()));
    EXPECT_EQ(SSL_CTX_use_certificate(context_.get(), identity.cert.get()), 1);
    EXPECT_EQ(SSL_CTX_use_PrivateKey(context_.get(), identity.key.get()), 1);
    SSL_CTX_set_session_id_context(context_.get(), reinterpret_cast<const unsigned char*>("t"), 1);
  }
  Imposter::Script script(std::function<void(TlsPeer&)> play) {
    return [this, play = std::move(play)](Peer& peer) {
      TlsPeer tls(context_.get(), peer.fd());
      if (tls.accepted()) play(tls);
      peer.closed();
    };
  }
  std::string url(const Imposter& upstream, const char* host = "localhost") {
    return std::string("https://") + host + ":" + std::to_string(upstream.port());
  }
  ClientPool& pool() {
    if (!pool_) pool_.emplace(*reactor_, options_);
    return *pool_;
  }
  static Task<std::string> fetch(ClientPool& pool, std::string to, std::string body) {
    UNDERSTUDY_UNWRAP(parsed, parse_url(to));
    const std::array<std::string_view, 1> pieces{body};
    ClientRequest request("POST", "/", {}, pieces);
    UNDERSTUDY_AWAIT(response, pool.send(pool.target(parsed), request));
    UNDERSTUDY_AWAIT(all, response.read_all());
    co_return std::string(all);
  }
  Result<std::string> get(const std::string& to, std::string body = {}) { return block_on(*reactor_, fetch(pool(), to, std::move(body))); }
  void expect_unreachable(const std::string& to, const char* word) {
    auto got = get(to);
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().kind, ErrorKind::kUpstreamUnreachable);
    EXPECT_NE(got.error().message.find(word), std::string::npos) << got.error().message;
  }

  PushedClock clock_;
  Identity authority_;
  std::string pem_;
  std::unique_ptr<SSL_CTX, FreeContext> context_;
  ClientOptions options_;
  std::unique_ptr<Reactor> reactor_;
  std::optional<ClientPool> pool_;
};

constexpr const char* kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

TEST_F(TlsTest, ReachesAServerWhoseCertificateIsTrusted) {
  std::string name;
  Imposter upstream({script([&](TlsPeer& peer) {
    name = peer.server_name();
    while (!peer.read_until("\r\n\r\n").empty()) peer.send(kOk);
  })});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(get(url(upstream)).value_or("failed"), "ok");
  EXPECT_EQ(pool().stats().connects, 1u);
  EXPECT_EQ(pool().stats().reused, 2u);
  pool().close_idle();
  EXPECT_EQ(name, "localhost");
}

TEST_F(TlsTest, ChecksAddressesAgainstTheCertificateToo) {
  Imposter upstream({script([&](TlsPeer& peer) {
    peer.read_until("\r\n\r\n");
    peer.send(kOk);
  })});
  auto got = get(url(upstream, "127.0.0.1"));
  EXPECT_EQ(got.value_or("failed"), "ok");
  pool().close_idle();
}

TEST_F(TlsTest, ResumesSessions) {
  std::vector<bool> resumed;
  const auto serve = [&](TlsPeer& peer) {
    resumed.push_back(peer.resumed());
    peer.read_until("\r\n\r\n");
    peer.send(kOk);
  };
  {
    Imposter upstream({script(serve), script(serve)});
    for (int i = 0; i < 2; ++i) {
      EXPECT_EQ(get(url(upstream)).value_or("failed"), "ok");
      pool().close_idle();
    }
  }
  EXPECT_EQ(resumed, (std::vector<bool>{false, true}));
}

TEST_F(TlsTest, RefusesACertificateForAnotherName) {
  use(make_identity(&authority_, "DNS:example.com,IP:127.0.0.2"));
  Imposter upstream({script([](TlsPeer&) { ADD_FAILURE() << "accepted"; }), script([](TlsPeer&) { ADD_FAILURE() << "accepted"; })});
  expect_unreachable(url(upstream), "hostname mismatch");
  expect_unreachable(url(upstream, "127.0.0.1"), "IP address mismatch");
}

TEST_F(TlsTest, RefusesAnUnknownAuthority) {
  const Identity stranger = make_identity(nullptr, nullptr);
  use(make_identity(&stranger, "DNS:localhost"));
  Imposter upstream({script([](TlsPeer&) { ADD_FAILURE() << "accepted"; })});
  expect_unreachable(url(upstream), "its certificate is not accepted");
}

TEST_F(TlsTest, RefusesAnExpiredCertificate) {
  use(make_identity(&authority_, "DNS:localhost", -60));
  Imposter upstream({script([](TlsPeer&) { ADD_FAILURE() << "accepted"; })});
  expect_unreachable(url(upstream), "expired");
}

TEST_F(TlsTest, TrustsTheMachinesStoreAndNothingElseByDefault) {
  options_.tls = nullptr;
  Imposter upstream({script([](TlsPeer&) { ADD_FAILURE() << "accepted"; })});
  expect_unreachable(url(upstream), "its certificate is not accepted");
}

TEST_F(TlsTest, RefusesOldProtocols) {
  SSL_CTX_set_min_proto_version(context_.get(), TLS1_1_VERSION);
  SSL_CTX_set_max_proto_version(context_.get(), TLS1_1_VERSION);
  SSL_CTX_set_security_level(context_.get(), 0);
  Imposter upstream({script([](TlsPeer&) { ADD_FAILURE() << "accepted"; })});
  expect_unreachable(url(upstream), "TLS");
}

TEST_F(TlsTest, SpeaksTls12) {
  SSL_CTX_set_max_proto_version(context_.get(), TLS1_2_VERSION);
  Imposter upstream({script([](TlsPeer& peer) {
    peer.read_until("\r\n\r\n");
    peer.send(kOk);
  })});
  EXPECT_EQ(get(url(upstream)).value_or("failed"), "ok");
  pool().close_idle();
}

TEST_F(TlsTest, ReportsAServerThatDoesNotSpeakTls) {
  Imposter upstream({[](Peer& peer) {
    peer.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    peer.closed();
  }});
  expect_unreachable(url(upstream), "TLS");
}

Awaitable<void> push_when(PushedClock& clock, Reactor& reactor, const std::atomic<bool>& reached) {
  while (!reached) co_await yield(reactor);
  clock.push_ms(6'000);
}

TEST_F(TlsTest, GivesUpOnAHandshakeThatHangs) {
  std::atomic<bool> reached = false;
  Imposter upstream({[&](Peer& peer) {
    peer.read_bytes(10);
    reached = true;
    peer.read_to_end();
  }});
  TaskGroup group(*reactor_);
  group.spawn(push_when(clock_, *reactor_, reached));
  auto got = get(url(upstream));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().kind, ErrorKind::kUpstreamUnreachable) << "nothing was sent";
  block_on(*reactor_, group.wait());
}

TEST_F(TlsTest, CarriesLargeBodiesBothWays) {
  std::string big(2'000'000, 'x');
  for (std::size_t i = 0; i < big.size(); ++i) big[i] = static_cast<char>('a' + i % 23);
  Imposter upstream({script([&](TlsPeer& peer) {
    for (int i = 0; i < 2; ++i) {
      peer.read_until("\r\n\r\n");
      const std::string body = peer.read_bytes(big.size());
      peer.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    }
  })});
  for (int i = 0; i < 2; ++i) {
    auto got = get(url(upstream), big);
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_TRUE(*got == big);
  }
  EXPECT_EQ(pool().stats().reused, 1u);
  pool().close_idle();
}

TEST_F(TlsTest, AnAnswerWithoutLengthMustEndWithAGoodbye) {
  Imposter polite({script([](TlsPeer& peer) {
    peer.read_until("\r\n\r\n");
    peer.send("HTTP/1.1 200 OK\r\n\r\nall of it");
    peer.say_goodbye();
  })});
  EXPECT_EQ(get(url(polite)).value_or("failed"), "all of it");
  Imposter cut({[this](Peer& peer) {
    TlsPeer tls(context_.get(), peer.fd());
    tls.read_until("\r\n\r\n");
    tls.send("HTTP/1.1 200 OK\r\n\r\nhalf of it");
  }});
  auto got = get(url(cut));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().kind, ErrorKind::kUpstreamProtocol);
}

TEST_F(TlsTest, SaysWhichCertificateFileIsBad) {
  TlsClientOptions options;
  options.ca_file = "/nonexistent/ca.pem";
  auto made = TlsClientContext::create(options);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind, ErrorKind::kConfig);
  EXPECT_NE(made.error().message.find("/nonexistent/ca.pem"), std::string::npos);
}

}  // namespace
}  // namespace understudy::net
