#include "net/client.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "net/internal/test_peer.h"
#include "net/timer.h"

namespace understudy::net {
namespace {

using internal::Imposter;
using internal::Peer;
using internal::PushedClock;

/// What a whole exchange came to.
struct Got {
  int status = 0;
  std::string body;
  std::vector<std::string> slices;
  std::optional<Error> error;

  ErrorKind kind() const { return error ? error->kind : ErrorKind::kInternal; }
};

Awaitable<Got> fetch(ClientPool& pool, ClientTarget& target, ClientRequest request) {
  Got got;
  auto response = co_await pool.send(target, request);
  if (!response) {
    got.error = std::move(response.error());
    co_return got;
  }
  got.status = response->status();
  for (;;) {
    auto slice = co_await response->next();
    if (!slice) {
      got.error = std::move(slice.error());
      break;
    }
    if (!*slice) break;
    got.slices.emplace_back(**slice);
    got.body += got.slices.back();
  }
  co_return got;
}

Awaitable<Got> fetch_all(ClientPool& pool, ClientTarget& target, ClientRequest request, std::uint64_t limit) {
  Got got;
  auto response = co_await pool.send(target, request);
  if (!response) {
    got.error = std::move(response.error());
    co_return got;
  }
  got.status = response->status();
  auto body = co_await response->read_all(limit);
  if (body) {
    got.body = *body;
  } else {
    got.error = std::move(body.error());
  }
  co_return got;
}

/// The bytes of a request without a body.
std::string read_head(Peer& peer) { return peer.read_until("\r\n\r\n"); }

/// Plays one answer after a request's head, then waits until the client hangs up.
Imposter::Script answer(std::string bytes) {
  return [bytes = std::move(bytes)](Peer& peer) {
    read_head(peer);
    peer.send(bytes);
    peer.closed();
  };
}
/// The same, but hangs up itself.
Imposter::Script answer_and_close(std::string bytes) {
  return [bytes = std::move(bytes)](Peer& peer) {
    read_head(peer);
    peer.send(bytes);
  };
}

class ClientTest : public testing::Test {
 protected:
  ClientTest() {
    ReactorOptions options;
    options.clock = &clock_;
    options.tick_ms = 5;
    auto reactor = Reactor::create(options);
    EXPECT_TRUE(reactor);
    reactor_ = std::move(*reactor);
  }
  ClientPool& pool() {
    if (!pool_) pool_.emplace(*reactor_, options_);
    return *pool_;
  }
  ClientTarget& target(const std::string& url) {
    auto parsed = parse_url(url);
    EXPECT_TRUE(parsed) << url;
    return pool().target(*parsed);
  }
  Got get(const std::string& url, CancelToken cancel = {}, Deadline deadline = Deadline::never()) {
    ClientRequest request("GET", "/x");
    request.cancel = cancel;
    request.deadline = deadline;
    return block_on(*reactor_, fetch(pool(), target(url), request));
  }
  /// One answer by an imposter of its own.
  Got play(Imposter::Script script) {
    Imposter upstream({std::move(script)});
    Got got = get(upstream.url());
    pool().close_idle();
    return got;
  }

  PushedClock clock_;
  ClientOptions options_;
  std::unique_ptr<Reactor> reactor_;
  std::optional<ClientPool> pool_;
};

TEST_F(ClientTest, SendsExactlyWhatItIsTold) {
  std::string seen;
  Imposter upstream({[&](Peer& peer) {
    seen = read_head(peer);
    seen += peer.read_bytes(9);
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    peer.closed();
  }});
  const std::array<Field, 4> fields{{{"content-type", "application/json"}, {"X-Odd", "a\r\nb"}, {"Host", "smuggled"}, {"Content-Length", "0"}}};
  const std::array<std::string_view, 3> body{"{\"a\":", "", " 1 }"};
  ClientRequest request("POST", "/chat?x=1", fields, body);
  const Got got = block_on(*reactor_, fetch(pool(), target(upstream.url("/v1/?api-version=2")), request));
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.body, "ok");
  pool().close_idle();
  EXPECT_EQ(seen, "POST /v1/chat?x=1&api-version=2 HTTP/1.1\r\nhost: 127.0.0.1:" + std::to_string(upstream.port()) +
                      "\r\ncontent-length: 9\r\ncontent-type: application/json\r\nX-Odd: a  b\r\n\r\n{\"a\": 1 }");
}

TEST_F(ClientTest, KeepsConnections) {
  Imposter upstream({[](Peer& peer) {
    while (!read_head(peer).empty()) peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  }});
  for (int i = 0; i < 5; ++i) EXPECT_EQ(get(upstream.url()).body, "ok");
  EXPECT_EQ(upstream.connections(), 1);
  const ClientStats stats = pool().stats();
  EXPECT_EQ(stats.requests, 5u);
  EXPECT_EQ(stats.connects, 1u);
  EXPECT_EQ(stats.reused, 4u);
  EXPECT_EQ(stats.idle, 1u);
  EXPECT_EQ(stats.in_use, 0u);
  pool().close_idle();
  EXPECT_EQ(pool().stats().idle, 0u);
}

TEST_F(ClientTest, DropsConnectionsThatGrowOld) {
  Imposter upstream({answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")});
  EXPECT_EQ(get(upstream.url()).status, 200);
  EXPECT_EQ(pool().stats().idle, 1u);
  clock_.push_ms(61'000);
  block_on(*reactor_, yield(*reactor_));
  block_on(*reactor_, yield(*reactor_));
  EXPECT_EQ(pool().stats().idle, 0u);
}

TEST_F(ClientTest, ReadsEveryKindOfBody) {
  EXPECT_EQ(play(answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")).body, "hello");
  EXPECT_EQ(play(answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nT: 1\r\n\r\n")).body, "hello");
  EXPECT_EQ(play(answer_and_close("HTTP/1.1 200 OK\r\n\r\nhello")).body, "hello");
  EXPECT_EQ(play(answer_and_close("HTTP/1.0 200 OK\r\n\r\n")).status, 200);
  EXPECT_EQ(play(answer("HTTP/1.1 204 No Content\r\n\r\n")).status, 204);
  EXPECT_EQ(play(answer("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")).status, 500);
}

TEST_F(ClientTest, SkipsInterimAnswers) {
  const Got got = play(answer("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"));
  EXPECT_EQ(got.status, 200);
  EXPECT_EQ(got.body, "x");
  EXPECT_EQ(play(answer("HTTP/1.1 101 Switching Protocols\r\n\r\n")).kind(), ErrorKind::kUpstreamProtocol);
}

TEST_F(ClientTest, AnswersToHeadHaveNoBody) {
  Imposter upstream({[](Peer& peer) {
    while (!read_head(peer).empty()) peer.send("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n");
  }});
  ClientRequest request("HEAD", "/");
  for (int i = 0; i < 2; ++i) EXPECT_EQ(block_on(*reactor_, fetch(pool(), target(upstream.url()), request)).status, 200);
  EXPECT_EQ(pool().stats().reused, 1u);
  pool().close_idle();
}

TEST_F(ClientTest, GivesTheSameAnswerHoweverItIsCut) {
  const std::string text =
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n"
      "5\r\nhello\r\n1;ext\r\n \r\n11\r\nwonderful, round \r\n5\r\nworld\r\n0\r\nTrailer: z\r\n\r\n";
  SeededRandom random(5);
  for (int round = 0; round < 40; ++round) {
    const Got got = play([&](Peer& peer) {
      read_head(peer);
      std::string_view rest = text;
      while (!rest.empty()) {
        const std::size_t size = round == 0 ? 1 : std::min<std::size_t>(rest.size(), 1 + random.below(40));
        peer.send(rest.substr(0, size));
        rest.remove_prefix(size);
      }
      peer.closed();
    });
    ASSERT_FALSE(got.error) << got.error->message;
    EXPECT_EQ(got.body, "hello wonderful, round world");
  }
}

TEST_F(ClientTest, ReportsAnswersThatAreNotHttp) {
  const std::string rows[] = {
      "SSH-2.0-OpenSSH_9.2\r\n\r\n",
      "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
      "HTTP/1.1 200 OK\r\nX: " + std::string(40'000, 'x') + "\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
      std::string("\0\1\2\3\n", 5),
  };
  for (const std::string& row : rows) {
    const Got got = play(answer(row));
    EXPECT_EQ(got.kind(), ErrorKind::kUpstreamProtocol) << row.substr(0, 80);
    ASSERT_TRUE(got.error);
    EXPECT_NE(got.error->message.find("http://127.0.0.1:"), std::string::npos) << got.error->message;
  }
}

TEST_F(ClientTest, ReportsAnswersThatAreCutShort) {
  const char* const rows[] = {
      "HTTP/1.1 200 OK\r\nConte",
      "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
  };
  for (const char* row : rows) {
    EXPECT_EQ(play(answer_and_close(row)).kind(), ErrorKind::kUpstreamProtocol) << row;
  }
  const Got reset = play([](Peer& peer) {
    read_head(peer);
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    peer.reset();
  });
  EXPECT_EQ(reset.kind(), ErrorKind::kUpstreamProtocol);
  EXPECT_EQ(pool().stats().stale_retries, 0u);
}

// Nothing was answered, so the call may be made again: other than for an answer that is cut short.
TEST_F(ClientTest, AConnectionThatEndsBeforeTheFirstByteIsUnreachable) {
  EXPECT_EQ(play(answer_and_close("")).kind(), ErrorKind::kUpstreamUnreachable);
  const Got reset = play([](Peer& peer) {
    read_head(peer);
    peer.reset();
  });
  EXPECT_EQ(reset.kind(), ErrorKind::kUpstreamUnreachable);
}

TEST_F(ClientTest, NamesAnUpstreamThatIsNotThere) {
  std::uint16_t port = 0;
  {
    Imposter gone({});
    port = gone.port();
  }
  const Got got = get("http://127.0.0.1:" + std::to_string(port));
  EXPECT_EQ(got.kind(), ErrorKind::kUpstreamUnreachable);
  EXPECT_NE(got.error->message.find("127.0.0.1:" + std::to_string(port)), std::string::npos) << got.error->message;
  EXPECT_NE(got.error->message.find("refused"), std::string::npos) << got.error->message;
}

TEST_F(ClientTest, LooksNamesUpWithoutBlocking) {
  Imposter upstream({[](Peer& peer) {
    while (!read_head(peer).empty()) peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  }});
  const std::string url = "http://localhost:" + std::to_string(upstream.port());
  EXPECT_EQ(get(url).body, "ok");
  EXPECT_EQ(get(url).body, "ok");
  pool().close_idle();
  const Got nowhere = get("http://no..such..name:1");
  EXPECT_EQ(nowhere.kind(), ErrorKind::kUpstreamUnreachable);
  EXPECT_NE(nowhere.error->message.find("cannot be resolved"), std::string::npos) << nowhere.error->message;
}

TEST_F(ClientTest, APoolMayGoWhileANameIsLookedUp) {
  CancelSource source;
  source.cancel();
  EXPECT_EQ(get("http://localhost:1", source.token()).kind(), ErrorKind::kCancelled);
  TaskGroup group(*reactor_);
  pool_.reset();
  block_on(*reactor_, yield(*reactor_));
}

TEST_F(ClientTest, RetriesOnceWhenAKeptConnectionHadDied) {
  const auto die_on_second_request = [](Peer& peer) {
    read_head(peer);
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst");
    read_head(peer);  // the connection closes without an answer to this
  };
  Imposter upstream({die_on_second_request, answer("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond")});
  EXPECT_EQ(get(upstream.url()).body, "first");
  EXPECT_EQ(get(upstream.url()).body, "second");
  EXPECT_EQ(pool().stats().stale_retries, 1u);
  EXPECT_EQ(pool().stats().connects, 2u);
  pool().close_idle();
}

TEST_F(ClientTest, RetriesOnlyOnceAndOnlyBeforeTheFirstByte) {
  const auto first_then = [](std::string second) {
    return [second](Peer& peer) {
      read_head(peer);
      peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst");
      read_head(peer);
      peer.send(second);
    };
  };
  {
    Imposter upstream({first_then(""), answer_and_close(""), answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")});
    EXPECT_EQ(get(upstream.url()).body, "first");
    EXPECT_EQ(get(upstream.url()).kind(), ErrorKind::kUpstreamUnreachable);
    EXPECT_EQ(upstream.connections(), 2);
  }
  {
    Imposter upstream({first_then("HTTP/1.1"), answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")});
    EXPECT_EQ(get(upstream.url()).body, "first");
    EXPECT_EQ(get(upstream.url()).kind(), ErrorKind::kUpstreamProtocol);
    EXPECT_EQ(upstream.connections(), 1);
  }
}

TEST_F(ClientTest, NoticesThatAKeptConnectionWasClosed) {
  Imposter upstream({answer_and_close("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1"), answer("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2")});
  EXPECT_EQ(get(upstream.url()).body, "1");
  for (int i = 0; i < 10'000 && pool().stats().idle > 0; ++i) {
    block_on(*reactor_, yield(*reactor_));
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  EXPECT_EQ(pool().stats().idle, 0u);
  EXPECT_EQ(get(upstream.url()).body, "2");
  EXPECT_EQ(pool().stats().stale_retries, 0u);
  pool().close_idle();
}

TEST_F(ClientTest, DoesNotKeepAConnectionThatSaidTooMuchOrClose) {
  for (const char* text : {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1surplus", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n1",
                           "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n1"}) {
    Imposter upstream({answer(text)});
    EXPECT_EQ(get(upstream.url()).body, "1");
    EXPECT_EQ(pool().stats().idle, 0u) << text;
  }
}

TEST_F(ClientTest, TakesAnAnswerThatComesBeforeTheWholeRequest) {
  Imposter upstream({[](Peer& peer) {
    read_head(peer);
    peer.send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig");
    peer.half_close();
    peer.read_to_end();
  }});
  const std::string big(6 << 20, 'x');
  const std::array<std::string_view, 1> body{big};
  ClientRequest request("POST", "/", {}, body);
  const Got got = block_on(*reactor_, fetch(pool(), target(upstream.url()), request));
  EXPECT_EQ(got.status, 413);
  EXPECT_EQ(got.body, "big");
}

TEST_F(ClientTest, SendsAndReadsLargeBodies) {
  std::string big;
  SeededRandom random(3);
  for (int i = 0; i < 3 << 20; ++i) big.push_back(static_cast<char>('a' + random.below(26)));
  Imposter upstream({[&](Peer& peer) {
    for (int i = 0; i < 2; ++i) {
      read_head(peer);
      const std::string body = peer.read_bytes(big.size());
      peer.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    }
    peer.closed();
  }});
  const std::array<std::string_view, 1> body{big};
  ClientRequest request("POST", "/", {}, body);
  EXPECT_EQ(block_on(*reactor_, fetch_all(pool(), target(upstream.url()), request, 0)).body, big);
  EXPECT_EQ(block_on(*reactor_, fetch(pool(), target(upstream.url()), request)).body, big);
  EXPECT_EQ(pool().stats().reused, 1u);
  pool().close_idle();
}

TEST_F(ClientTest, BoundsBodies) {
  options_.max_body_bytes = 100;
  EXPECT_EQ(play(answer("HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n")).kind(), ErrorKind::kUpstreamProtocol);
  EXPECT_EQ(play(answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + std::string(101, 'x') + "\r\n0\r\n\r\n")).kind(),
            ErrorKind::kUpstreamProtocol);
  EXPECT_EQ(play(answer_and_close("HTTP/1.1 200 OK\r\n\r\n" + std::string(101, 'x'))).kind(), ErrorKind::kUpstreamProtocol);
  Imposter upstream({answer("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n" + std::string(50, 'x'))});
  ClientRequest request("GET", "/");
  const Got got = block_on(*reactor_, fetch_all(pool(), target(upstream.url()), request, 49));
  EXPECT_EQ(got.kind(), ErrorKind::kUpstreamProtocol);
  pool().close_idle();
}

/// Pushes the clock once the imposter has been reached, so that what is waited for becomes overdue; and again each turn until
/// `done`, for on a busy machine the first push may come before the bytes that were sent earlier are read.
Awaitable<void> push_when(PushedClock& clock, Reactor& reactor, const std::atomic<bool>& reached, std::int64_t ms, const bool& done) {
  while (!reached) co_await yield(reactor);
  while (!done) {
    clock.push_ms(ms);
    co_await yield(reactor);
  }
}

TEST_F(ClientTest, GivesUpOnSilence) {
  struct Row {
    std::string before_silence;
    std::int64_t push_ms;
    std::string word;
  };
  const Row rows[] = {
      {"", 601'000, "first byte"},
      {"HTTP/1.1 200 OK\r\nCont", 121'000, "half-way"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", 121'000, "half-way"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", 121'000, "half-way"},
  };
  for (const Row& row : rows) {
    std::atomic<bool> reached = false;
    Imposter upstream({[&](Peer& peer) {
      read_head(peer);
      peer.send(row.before_silence);
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      reached = true;
      peer.closed();
    }});
    TaskGroup group(*reactor_);
    bool done = false;
    group.spawn(push_when(clock_, *reactor_, reached, row.push_ms, done));
    const Got got = get(upstream.url());
    done = true;
    EXPECT_EQ(got.kind(), ErrorKind::kUpstreamTimeout) << row.before_silence;
    EXPECT_NE(got.error->message.find(row.word), std::string::npos) << got.error->message;
    block_on(*reactor_, group.wait());
  }
}

TEST_F(ClientTest, KeepsTheDeadlineOfTheWholeExchange) {
  std::atomic<bool> reached = false;
  Imposter upstream({[&](Peer& peer) {
    read_head(peer);
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    reached = true;
    peer.closed();
  }});
  TaskGroup group(*reactor_);
  bool done = false;
  group.spawn(push_when(clock_, *reactor_, reached, 1'500, done));
  const Got got = get(upstream.url(), {}, Deadline::after_ms(clock_.mono(), 1'000));
  done = true;
  EXPECT_EQ(got.kind(), ErrorKind::kUpstreamTimeout);
  EXPECT_NE(got.error->message.find("deadline"), std::string::npos);
  block_on(*reactor_, group.wait());
  EXPECT_EQ(get(upstream.url(), {}, Deadline::after_ms(clock_.mono(), -1)).kind(), ErrorKind::kUpstreamTimeout);
}

Awaitable<void> read_slowly(PushedClock& clock, ClientPool& pool, ClientTarget& target) {
  ClientRequest request("GET", "/");
  auto response = co_await pool.send(target, request);
  EXPECT_TRUE(response);
  std::string body;
  for (;;) {
    clock.push_ms(500'000);  // longer than any silence allowed, but it is ours, not the upstream's
    co_await sleep_for(pool.reactor(), 10);
    auto slice = co_await response->next();
    EXPECT_TRUE(slice) << slice.error().message;
    if (!slice || !*slice) break;
    body += **slice;
  }
  EXPECT_EQ(body, "hello");
}

TEST_F(ClientTest, ASlowReaderIsNotTheUpstreamsSilence) {
  Imposter upstream({answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")});
  block_on(*reactor_, read_slowly(clock_, pool(), target(upstream.url())));
  pool().close_idle();
}

Awaitable<void> cancel_when(Reactor& reactor, const std::atomic<bool>& reached, CancelSource& source) {
  while (!reached) co_await yield(reactor);
  source.cancel();
}

TEST_F(ClientTest, StopsWhenCancelled) {
  for (const char* before : {"", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"}) {
    std::atomic<bool> reached = false;
    bool hung_up = false;
    {
      Imposter upstream({[&](Peer& peer) {
        read_head(peer);
        peer.send(before);
        reached = true;
        hung_up = peer.closed();
      }});
      CancelSource source;
      TaskGroup group(*reactor_);
      group.spawn(cancel_when(*reactor_, reached, source));
      EXPECT_EQ(get(upstream.url(), source.token()).kind(), ErrorKind::kCancelled);
      block_on(*reactor_, group.wait());
      EXPECT_EQ(get(upstream.url(), source.token()).kind(), ErrorKind::kCancelled);
    }
    EXPECT_TRUE(hung_up);
  }
}

Awaitable<void> drop_early(ClientPool& pool, ClientTarget& target, bool& kept_head) {
  ClientRequest request("GET", "/");
  auto response = co_await pool.send(target, request);
  EXPECT_TRUE(response);
  ClientResponse moved = std::move(*response);
  moved.close();
  kept_head = moved.find("x") == "y";
  auto after = co_await moved.next();
  EXPECT_FALSE(after);
}

TEST_F(ClientTest, AnUnreadAnswerClosesItsConnection) {
  bool hung_up = false;
  bool kept_head = false;
  {
    Imposter upstream({[&](Peer& peer) {
      read_head(peer);
      peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\nX: y\r\n\r\nhello");
      hung_up = peer.closed();
    }});
    block_on(*reactor_, drop_early(pool(), target(upstream.url()), kept_head));
    EXPECT_EQ(pool().stats().idle, 0u);
    EXPECT_EQ(pool().stats().in_use, 0u);
  }
  EXPECT_TRUE(hung_up);
  EXPECT_TRUE(kept_head);
}

}  // namespace
}  // namespace understudy::net
