// Server and client together: what a gateway does with them.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/random.h"
#include "net/client.h"
#include "net/internal/test_peer.h"
#include "net/server.h"

namespace understudy::net {
namespace {

using internal::Peer;

/// A gateway in miniature: what the server receives goes upstream, what comes back is streamed or answered whole.
class Relay final : public Service {
 public:
  Relay(Reactor& reactor, const Url& upstream) : pool_(reactor), target_(pool_.target(upstream)) {}

  Awaitable<void> handle(Exchange& exchange) override {
    const std::array<std::string_view, 1> body{exchange.body()};
    ClientRequest request(exchange.head().method, exchange.head().target, {}, body);
    request.cancel = exchange.gone();
    auto response = co_await pool_.send(target_, request);
    if (!response) {
      co_await exchange.respond_error(response.error());
      co_return;
    }
    if (response->head().framing == BodyFraming::kLength) {
      auto all = co_await response->read_all();
      if (all) co_await exchange.respond(response->status(), kNoFields, *all);
      co_return;
    }
    exchange.start_stream(response->status(), {});
    for (;;) {
      auto slice = co_await response->next();
      if (!slice) {
        exchange.abort();
        co_return;
      }
      if (!*slice) break;
      auto written = co_await exchange.write(**slice);
      if (!written) co_return;
    }
    co_await exchange.finish(std::string_view());
  }

 private:
  ClientPool pool_;
  ClientTarget& target_;
};

/// Echoes the body: whole for POST, in chunks for PUT.
Awaitable<void> echo(Exchange& exchange) {
  if (exchange.head().method == "POST") {
    co_await exchange.respond(200, kNoFields, exchange.body());
    co_return;
  }
  exchange.start_stream(200, {});
  for (std::string_view rest = exchange.body(); !rest.empty();) {
    const std::size_t size = std::min<std::size_t>(rest.size(), 1 + rest.size() % 7919);
    co_await exchange.write(rest.substr(0, size));
    rest.remove_prefix(size);
  }
  co_await exchange.finish(std::string_view());
}

TEST(Relay, PassesEveryBodyThroughUnchangedOnManyReactors) {
  ServerOptions options;
  options.workers = 2;
  auto upstream = Server::create(options, [](Reactor&) -> Result<std::unique_ptr<Service>> { return make_service(&echo); });
  ASSERT_TRUE(upstream) << upstream.error().message;
  auto url = parse_url("http://" + (*upstream)->address());
  ASSERT_TRUE(url);
  auto relay = Server::create(options, [&](Reactor& reactor) -> Result<std::unique_ptr<Service>> {
    return std::make_unique<Relay>(reactor, *url);
  });
  ASSERT_TRUE(relay) << relay.error().message;
  std::vector<std::thread> clients;
  std::atomic<int> right{0};
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    clients.emplace_back([&, seed] {
      SeededRandom random(seed);
      Peer peer((*relay)->port());
      for (int i = 0; i < 25; ++i) {
        std::string body(random.below(random.coin(0.2) ? 300'000 : 3'000), ' ');
        for (char& c : body) c = static_cast<char>('a' + random.below(26));
        peer.send((random.coin(0.5) ? "PUT" : "POST") + std::string(" /x HTTP/1.1\r\nHost: a\r\nContent-Length: ") +
                  std::to_string(body.size()) + "\r\n\r\n" + body);
        if (peer.read_response().body == body) ++right;
      }
    });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(right, 100);
  (*relay)->drain(1'000);
  (*upstream)->drain(1'000);
}

}  // namespace
}  // namespace understudy::net
