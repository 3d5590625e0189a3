#include "net/http.h"

#include <gtest/gtest.h>

#include <tuple>

#include "base/random.h"

namespace understudy::net {
namespace {

using namespace std::string_literals;

Result<RequestHead> parse(const std::string& text, HeadLimits limits = {}) {
  RequestHead head;
  auto parsed = parse_request_head(text, head, limits);
  if (!parsed) return fail(std::move(parsed.error()));
  return head;
}

std::string request(std::string_view fields) { return "POST /v1/x HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n"; }

TEST(RequestHead, IsTakenApart) {
  const std::string text =
      "POST /v1/chat/completions?api-version=2&x=%20 HTTP/1.1\r\nHost: example.com:8080\r\nContent-Length: 12\r\n"
      "X-Empty:\r\nX-Spaces: \t two words \t\r\nExpect: 100-Continue\r\n\r\n";
  auto head = parse(text);
  ASSERT_TRUE(head) << head.error().message;
  EXPECT_EQ(head->method, "POST");
  EXPECT_EQ(head->target, "/v1/chat/completions?api-version=2&x=%20");
  EXPECT_EQ(head->path, "/v1/chat/completions");
  EXPECT_EQ(head->query, "api-version=2&x=%20");
  EXPECT_EQ(head->minor_version, 1);
  EXPECT_EQ(head->content_length, 12u);
  EXPECT_FALSE(head->chunked);
  EXPECT_TRUE(head->keep_alive);
  EXPECT_TRUE(head->expect_continue);
  EXPECT_EQ(head->fields.size(), 5u);
  EXPECT_EQ(head->find("HOST"), "example.com:8080");
  EXPECT_EQ(head->find("x-empty"), "");
  EXPECT_EQ(head->find("x-spaces"), "two words");
  EXPECT_EQ(head->find("absent"), std::nullopt);
}

TEST(RequestHead, KeepAliveFollowsVersionAndConnection) {
  struct Row {
    std::string text;
    bool keep_alive;
  };
  const Row rows[] = {
      {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", true},
      {"GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n", false},
      {"GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, close\r\n\r\n", false},
      {"GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n", true},
      {"GET / HTTP/1.0\r\n\r\n", false},
      {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true},
      {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false},
  };
  for (const Row& row : rows) {
    auto head = parse(row.text);
    ASSERT_TRUE(head) << row.text << head.error().message;
    EXPECT_EQ(head->keep_alive, row.keep_alive) << row.text;
  }
}

TEST(RequestHead, AcceptsTheTargetsAServerMust) {
  const std::tuple<std::string, std::string, std::string> rows[] = {
      {"GET http://example.com/a/b?c HTTP/1.1\r\nHost: a\r\n\r\n", "/a/b", "c"},
      {"GET HTTPS://example.com HTTP/1.1\r\nHost: a\r\n\r\n", "/", ""},
      {"GET http://example.com?q HTTP/1.1\r\nHost: a\r\n\r\n", "/", "q"},
      {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "*", ""},
      {"GET //x HTTP/1.1\r\nHost:\r\n\r\n", "//x", ""},
      {"\r\nGET /after-one-empty-line HTTP/1.1\r\nHost: a\r\n\r\n", "/after-one-empty-line", ""},
  };
  for (const auto& [text, path, query] : rows) {
    auto head = parse(text);
    ASSERT_TRUE(head) << text << head.error().message;
    EXPECT_EQ(head->path, path);
    EXPECT_EQ(head->query, query);
  }
}

// Each row is a way to make two parties see different messages in the same bytes, or plain damage.
TEST(RequestHead, RefusesWhatCouldSmuggleARequest) {
  const std::string rows[] = {
      request("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
      request("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"),
      request("Content-Length: 5\r\nContent-Length: 6\r\n"),
      request("Content-Length: 5\r\nContent-Length: 5\r\n"),
      request("Content-Length: 5, 5\r\n"),
      request("Content-Length: +5\r\n"),
      request("Content-Length: -5\r\n"),
      request("Content-Length: 0x5\r\n"),
      request("Content-Length: 5 5\r\n"),
      request("Content-Length:\r\n"),
      request("Content-Length: 99999999999999999999\r\n"),
      request("Content-Length : 5\r\n"),
      request("Content-Length\t: 5\r\n"),
      request(" Content-Length: 5\r\n"),
      request("X: a\r\n folded\r\n"),
      request("X: a\r\n\tfolded\r\n"),
      request("Transfer-Encoding: gzip, chunked\r\n"),
      request("Transfer-Encoding: chunked, identity\r\n"),
      request("Transfer-Encoding: identity\r\n"),
      request("Transfer-Encoding: xchunked\r\n"),
      request("Transfer-Encoding: \"chunked\"\r\n"),
      request("Transfer-Encoding:\r\n"),
      request("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
      request("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
      request("X: a\rb\r\n"),
      request("X: a\nContent-Length: 5\r\n"),
      request("X: a\0b\r\n"s),
      request("X: a\x7f\r\n"),
      request("X: a\x01\r\n"),
      request("no colon\r\n"),
      request("X Y: a\r\n"),
      request(": a\r\n"),
      request("X\x80: a\r\n"),
      request("Host: b\r\n"),
      "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
      "GET / HTTP/1.1\r\n\r\n",
      "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
      " GET / HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET / HTTP/1.1\nHost: a\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\n\r\n",
      "GET / HTTP/1.1\rHost: a\r\n\r\n",
      "GE(T / HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET ftp://a/x HTTP/1.1\r\nHost: a\r\n\r\n",
      "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET / http/1.1\r\nHost: a\r\n\r\n",
      "GET / HTTP/1.1x\r\nHost: a\r\n\r\n",
      "GET / HTTP/11\r\nHost: a\r\n\r\n",
      "GET /\r\nHost: a\r\n\r\n",
      "GET\r\nHost: a\r\n\r\n",
      "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
      "\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\n\r\nsurplus",
      "GET / HTTP/1.1\r\nHost: a\r\n",
      "",
  };
  for (const std::string& row : rows) {
    auto head = parse(row);
    ASSERT_FALSE(head) << row;
    EXPECT_EQ(head.error().kind, ErrorKind::kInvalidRequest) << row;
    EXPECT_FALSE(head.error().message.empty());
  }
}

TEST(RequestHead, NamesTheVersionItDoesNotSpeak) {
  auto head = parse("GET / HTTP/2.0\r\nHost: a\r\n\r\n");
  ASSERT_FALSE(head);
  EXPECT_EQ(head.error().kind, ErrorKind::kUnsupported);
  EXPECT_NE(head.error().message.find("HTTP/2.0"), std::string::npos);
}

TEST(RequestHead, LimitsTheNumberOfFields) {
  HeadLimits limits;
  limits.fields = 3;
  EXPECT_TRUE(parse(request("A: 1\r\nB: 2\r\n"), limits));
  auto head = parse(request("A: 1\r\nB: 2\r\nC: 3\r\n"), limits);
  ASSERT_FALSE(head);
  EXPECT_EQ(head.error().kind, ErrorKind::kHeaderTooLarge);
}

/// Feeds `text` in pieces that end at the given cuts; the head's size or the error's kind.
Result<std::optional<std::size_t>> scan_in_pieces(std::string_view text, const std::vector<std::size_t>& cuts, HeadLimits limits) {
  HeadScanner scanner;
  for (const std::size_t cut : cuts) {
    auto size = scanner.scan(text.substr(0, cut), limits);
    if (!size || *size) return size;
  }
  return scanner.scan(text, limits);
}

TEST(HeadScanner, GivesTheSameForEverySplit) {
  HeadLimits limits;
  limits.bytes = 48;
  const std::string texts[] = {
      "GET / HTTP/1.1\r\nHost: a\r\n\r\nbody \r\n\r\n", "\r\nGET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\nHost: a\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\n\r\n",  "\n", "\r\n\r\n", "GET /" + std::string(60, 'x'), "GET / HTTP/1.1\r\nX: " + std::string(40, 'x') + "\n",
      "GET / HTTP/1.1\r\nHost: aaaaaaaaaaaaaaaaaaaaaaa\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n",
  };
  for (const std::string& text : texts) {
    const auto whole = scan_in_pieces(text, {}, limits);
    std::vector<std::size_t> every(text.size());
    for (std::size_t i = 0; i < every.size(); ++i) every[i] = i + 1;
    std::vector<std::vector<std::size_t>> splits = {every};
    for (std::size_t i = 0; i <= text.size(); ++i) {
      for (std::size_t j = i; j <= text.size(); ++j) splits.push_back({i, j});
    }
    for (const auto& split : splits) {
      const auto pieces = scan_in_pieces(text, split, limits);
      ASSERT_EQ(whole.has_value(), pieces.has_value()) << text;
      if (whole) {
        ASSERT_EQ(*whole, *pieces) << text;
      } else {
        ASSERT_EQ(whole.error().kind, pieces.error().kind) << text;
      }
    }
  }
}

TEST(HeadScanner, FindsTheEndAndLeavesTheRest) {
  HeadScanner scanner;
  const std::string text = "GET / HTTP/1.1\r\nHost: a\r\n\r\nrest\r\n\r\n";
  auto size = scanner.scan(text, {});
  ASSERT_TRUE(size && *size);
  EXPECT_EQ(text.substr(**size), "rest\r\n\r\n");
}

TEST(HeadScanner, RefusesAHeadOverTheLimit) {
  HeadLimits limits;
  limits.bytes = 64;
  HeadScanner scanner;
  auto size = scanner.scan("GET / HTTP/1.1\r\nX: " + std::string(100, 'x'), limits);
  ASSERT_FALSE(size);
  EXPECT_EQ(size.error().kind, ErrorKind::kHeaderTooLarge);
}

Result<ResponseHead> parse_response(const std::string& text, bool to_head = false) {
  ResponseHead head;
  auto parsed = parse_response_head(text, to_head, head);
  if (!parsed) return fail(std::move(parsed.error()));
  return head;
}

TEST(ResponseHead, SaysHowTheBodyEnds) {
  struct Row {
    std::string text;
    bool to_head;
    BodyFraming framing;
    std::uint64_t length;
    bool keep_alive;
  };
  const Row rows[] = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", false, BodyFraming::kLength, 7, true},
      {"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", true, BodyFraming::kNone, 0, true},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n", false, BodyFraming::kChunked, 0, true},
      {"HTTP/1.1 200 OK\r\n\r\n", false, BodyFraming::kUntilClose, 0, false},
      {"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false, BodyFraming::kLength, 0, false},
      {"HTTP/1.1 204 No Content\r\n\r\n", false, BodyFraming::kNone, 0, true},
      {"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", false, BodyFraming::kNone, 0, true},
      {"HTTP/1.1 100 Continue\r\n\r\n", false, BodyFraming::kNone, 0, true},
      {"HTTP/1.1 429\r\nContent-Length: 1\r\nConnection: close\r\n\r\n", false, BodyFraming::kLength, 1, false},
      {"HTTP/1.1 500 \r\nContent-Length: 1\r\n\r\n", false, BodyFraming::kLength, 1, true},
  };
  for (const Row& row : rows) {
    auto head = parse_response(row.text, row.to_head);
    ASSERT_TRUE(head) << row.text << head.error().message;
    EXPECT_EQ(head->framing, row.framing) << row.text;
    EXPECT_EQ(head->content_length, row.length) << row.text;
    EXPECT_EQ(head->keep_alive, row.keep_alive) << row.text;
  }
  EXPECT_EQ(parse_response("HTTP/1.1 404 Not Here\r\nContent-Length: 1\r\n\r\n")->reason, "Not Here");
}

TEST(ResponseHead, RefusesDamage) {
  const std::string rows[] = {
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
      "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
      "HTTP/1.1 20 OK\r\n\r\n",
      "HTTP/1.1 2000 OK\r\n\r\n",
      "HTTP/1.1 999 OK\r\n\r\n",
      "HTTP/1.1 099 OK\r\n\r\n",
      "HTTP/1.1  200 OK\r\n\r\n",
      "HTTP/1.1\r\n\r\n",
      "HTTP/2 200\r\n\r\n",
      "HTTP/2.0 200 OK\r\n\r\n",
      "ICY 200 OK\r\n\r\n",
      "garbage\r\n\r\n",
      "HTTP/1.1 200 OK\r\nX : 1\r\n\r\n",
      "HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\n\r\n",
      "HTTP/1.1 200 O\x01K\r\n\r\n",
      "HTTP/1.1 200 OK\n\n",
      "",
  };
  for (const std::string& row : rows) {
    auto head = parse_response(row);
    ASSERT_FALSE(head) << row;
    EXPECT_EQ(head.error().kind, ErrorKind::kUpstreamProtocol) << row;
  }
}

struct Decoded {
  std::string payload;
  std::string rest;
  bool done = false;
  bool failed = false;
  friend bool operator==(const Decoded&, const Decoded&) = default;
};

Decoded decode(std::string_view text, std::span<const std::size_t> cuts) {
  ChunkedDecoder decoder;
  Decoded out;
  std::size_t from = 0;
  std::vector<std::size_t> ends(cuts.begin(), cuts.end());
  ends.push_back(text.size());
  for (const std::size_t end : ends) {
    std::string_view piece = text.substr(from, end - from);
    from = end;
    while (true) {
      auto slice = decoder.next(piece);
      if (!slice) {
        out.failed = true;
        return out;
      }
      if (!*slice) break;
      EXPECT_FALSE((*slice)->empty());
      out.payload.append(**slice);
    }
    out.rest.append(piece);
  }
  out.done = decoder.done();
  return out;
}

TEST(ChunkedDecoder, TakesTheFramingOffForEverySplit) {
  const std::pair<std::string, Decoded> rows[] = {
      {"5\r\nhello\r\n0\r\n\r\n", {"hello", "", true, false}},
      {"5;a=b;c=\"d\"\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\nNEXT", {"hello0123456789", "NEXT", true, false}},
      {"0\r\nTrailer: x\r\nOther: y\r\n\r\n", {"", "", true, false}},
      {"00005\r\n\r\n\r\n\r\n\r\n000;x\r\n\r\n", {"\r\n\r\n\r", "", false, true}},
      {"5\r\nhel", {"hel", "", false, false}},
      {"aB\r\n", {"", "", false, false}},
  };
  for (const auto& [text, expected] : rows) {
    for (std::size_t i = 0; i <= text.size(); ++i) {
      for (std::size_t j = i; j <= text.size(); ++j) {
        const std::size_t cuts[] = {i, j};
        const Decoded got = decode(text, cuts);
        EXPECT_EQ(got.failed, expected.failed) << text;
        if (expected.failed) continue;
        ASSERT_EQ(got, expected) << text << " cut at " << i << ", " << j;
      }
    }
  }
}

TEST(ChunkedDecoder, RefusesDamage) {
  const std::string rows[] = {
      "\r\n", "x\r\n", "-1\r\n", "+1\r\n", "0x1\r\n", " 1\r\n", "1 \r\n", "1\n", "1\rx", ";a\r\n", "1111111111111111\r\n",
      "1\r\nab\r\n", "1\r\na\n", "1\r\na\rx", "0\r\n\rx", "0\r\n\n", "0\r\n : x\r\n", "0\r\nX: \x01\r\n\r\n",
      "1;\x01\r\n", "1;\n", "1;" + std::string(300, 'x') + "\r\n", "0\r\nX: " + std::string(9000, 'x') + "\r\n\r\n",
  };
  for (const std::string& row : rows) EXPECT_TRUE(decode(row, {}).failed) << row;
}

TEST(Writer, NeverLetsAValueStartALine) {
  std::string out;
  append_field(out, "x-name", "a\r\nset-cookie: b\0c\td\x7f"s);
  EXPECT_EQ(out, "x-name: a  set-cookie: b c\td \r\n");
}

TEST(Writer, WritesWhatTheParserReads) {
  std::string out;
  append_request_line(out, "POST", "v1/a b?c=\xC3\xA9#d");
  append_field(out, "host", "a");
  append_field(out, "content-length", "3");
  out += "\r\n";
  auto head = parse(out);
  ASSERT_TRUE(head) << head.error().message;
  EXPECT_EQ(head->target, "/v1/a%20b?c=%C3%A9%23d");

  for (int status = 200; status < 600; ++status) {
    std::string response;
    append_status_line(response, status);
    response += "content-length: 0\r\n\r\n";
    auto parsed = parse_response(response);
    ASSERT_TRUE(parsed) << response;
    EXPECT_EQ(parsed->status, status);
    EXPECT_EQ(parsed->reason, reason_phrase(status));
  }
}

TEST(Writer, ChunkSizesAreWhatTheDecoderReads) {
  for (const std::uint64_t size : {1ull, 15ull, 16ull, 255ull, 4096ull, 0xfffffffull}) {
    std::array<char, 18> line{};
    const std::size_t length = format_chunk_size(line, size);
    std::string_view input(line.data(), length);
    ChunkedDecoder decoder;
    ASSERT_TRUE(decoder.next(input));
    std::string_view data = "x";
    auto slice = decoder.next(data);
    ASSERT_TRUE(slice && *slice) << size;
  }
}

TEST(Fields, HopByHopAndLists) {
  EXPECT_TRUE(is_hop_by_hop("Transfer-Encoding"));
  EXPECT_TRUE(is_hop_by_hop("HOST"));
  EXPECT_FALSE(is_hop_by_hop("content-type"));
  EXPECT_TRUE(list_holds("a, Close ,b", "close"));
  EXPECT_FALSE(list_holds("a, closed", "close"));
  EXPECT_FALSE(list_holds("", "close"));
}

// Random damage to good messages must never crash, and what still parses must frame its body one way only.
TEST(RequestHead, RandomDamageIsParsedOneWayOrRefused) {
  SeededRandom random(20260922);
  const std::string good = request("Content-Length: 5\r\nConnection: close\r\nX-Long: abcdefghij\r\n");
  int accepted = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string text = good;
    for (std::uint64_t edits = 1 + random.below(3); edits > 0; --edits) {
      const std::size_t at = random.below(text.size());
      static constexpr std::string_view kBytes = "\r\n :\t\0,;ax0T/1.";
      if (random.coin(0.5)) {
        text[at] = kBytes[random.below(kBytes.size())];
      } else {
        text.insert(at, 1, kBytes[random.below(kBytes.size())]);
      }
    }
    auto head = parse(text);
    if (!head) continue;
    ++accepted;
    EXPECT_FALSE(head->chunked && head->content_length) << text;
    for (const Field& field : head->fields) {
      EXPECT_TRUE(is_token(field.name)) << text;
      EXPECT_EQ(field.value.find_first_of("\r\n\0"s), std::string_view::npos) << text;
    }
  }
  EXPECT_GT(accepted, 100);
}

TEST(HttpDate, ReadsTheFormThatSendersMustUse) {
  EXPECT_EQ(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT"), 784'111'777);
  EXPECT_EQ(parse_http_date("Thu, 01 Jan 1970 00:00:00 GMT"), 0);
  EXPECT_EQ(parse_http_date("Thu, 29 Feb 2024 23:59:60 GMT"), 1'709'251'200);
  for (const char* row : {"", "120", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 1994 08:49:37 UTC",
                          "Sun, 30 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 ovD 1994 08:49:37 GMT"}) {
    EXPECT_FALSE(parse_http_date(row)) << row;
  }
}

}  // namespace
}  // namespace understudy::net
