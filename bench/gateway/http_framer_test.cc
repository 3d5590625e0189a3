#include "http_framer.h"

#include <gtest/gtest.h>

namespace understudy::bench {
namespace {

struct Fed {
  std::size_t used = 0;
  std::string body;
  bool done = false;
  bool bad = false;
};

Fed feed(HttpFramer::Kind kind, std::string_view bytes, std::size_t piece) {
  HttpFramer framer(kind);
  Fed fed;
  for (std::size_t at = 0; at < bytes.size() && !framer.done() && !framer.bad(); at += piece) {
    fed.used += framer.feed(bytes.substr(at, piece), [&fed](std::string_view part) { fed.body += part; });
  }
  fed.done = framer.done();
  fed.bad = framer.bad();
  return fed;
}

TEST(HttpFramer, FindsTheEndWhereverTheBytesAreCut) {
  const std::string chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\nA;x=1\r\n0123456789\r\n0\r\nt: 1\r\n\r\n";
  const std::string with_length = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
  for (std::size_t piece = 1; piece < 90; ++piece) {
    const Fed a = feed(HttpFramer::Kind::kResponse, chunked, piece);
    EXPECT_TRUE(a.done) << piece;
    EXPECT_EQ(a.body, "abcd0123456789") << piece;
    EXPECT_EQ(a.used, chunked.size()) << piece;
    const Fed b = feed(HttpFramer::Kind::kResponse, with_length, piece);
    EXPECT_TRUE(b.done) << piece;
    EXPECT_EQ(b.body, "hello") << piece;
  }
}

TEST(HttpFramer, LeavesBytesOfTheNextMessage) {
  const Fed fed = feed(HttpFramer::Kind::kResponse, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP", 1000);
  EXPECT_TRUE(fed.done);
  EXPECT_EQ(fed.body, "ok");
  EXPECT_EQ(fed.used, 40U);
}

TEST(HttpFramer, RefusesWhatItCannotFrame) {
  for (const std::string_view bytes : {"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n",
                                       "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
                                       "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "HTTP/1.1 20\r\nContent-Length: 2\r\n\r\n",
                                       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                                       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n"}) {
    EXPECT_TRUE(feed(HttpFramer::Kind::kResponse, bytes, 1000).bad) << bytes;
  }
}

TEST(HttpFramer, ReadsStatusAndKeepAlive) {
  HttpFramer framer(HttpFramer::Kind::kResponse);
  framer.feed("HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", [](std::string_view) {});
  EXPECT_TRUE(framer.done());
  EXPECT_EQ(framer.status(), 503);
  EXPECT_FALSE(framer.keep_alive());
  framer.reset();
  EXPECT_TRUE(framer.keep_alive());
  EXPECT_FALSE(framer.started());
}

}  // namespace
}  // namespace understudy::bench
