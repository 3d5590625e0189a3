#include "net/sse.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/random.h"

namespace understudy::net {
namespace {

struct Seen {
  std::string data, event, id, raw;
  friend bool operator==(const Seen&, const Seen&) = default;
};

struct Outcome {
  std::vector<Seen> events;
  bool failed = false;
  std::optional<Seen> tail;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

Seen copy(const SseEvent& e) { return {std::string(e.data), std::string(e.event), std::string(e.id), std::string(e.raw)}; }

/// Each piece lives in memory of its own that is gone afterwards, so that a stale view shows under the sanitizer.
Outcome split(std::string_view text, const std::vector<std::size_t>& cuts, SseLimits limits = {}) {
  SseSplitter splitter(limits);
  Outcome out;
  std::size_t from = 0;
  std::vector<std::size_t> ends = cuts;
  ends.push_back(text.size());
  for (const std::size_t end : ends) {
    const std::string piece(text.substr(from, end - from));
    from = end;
    splitter.feed(piece);
    for (;;) {
      auto event = splitter.next();
      if (!event) {
        out.failed = true;
        return out;
      }
      if (!*event) break;
      out.events.push_back(copy(**event));
    }
  }
  if (auto tail = splitter.finish()) out.tail = copy(*tail);
  return out;
}

std::vector<std::string> data_of(std::string_view text) {
  std::vector<std::string> out;
  for (const Seen& seen : split(text, {}).events) out.push_back(seen.data);
  return out;
}

using Strings = std::vector<std::string>;

TEST(SseSplitter, ReadsTheFormsOfTheStandard) {
  EXPECT_EQ(data_of("data: a\n\ndata: b\n\n"), (Strings{"a", "b"}));
  EXPECT_EQ(data_of("data: a\r\n\r\ndata: b\r\n\r\n"), (Strings{"a", "b"}));
  EXPECT_EQ(data_of("data: a\r\rdata: b\r\r "), (Strings{"a", "b"}));
  EXPECT_EQ(data_of("data:a\n\n"), (Strings{"a"}));
  EXPECT_EQ(data_of("data:  a\n\n"), (Strings{" a"}));
  EXPECT_EQ(data_of("data: a\ndata: b\ndata\ndata:\n\n"), (Strings{"a\nb\n\n"}));
  EXPECT_EQ(data_of("data\n\n"), (Strings{""}));
  EXPECT_EQ(data_of(": comment\n\n: another\ndata: a\n\n"), (Strings{"a"}));
  EXPECT_EQ(data_of("event: x\n\ndata: a\n\n"), (Strings{"a"}));
  EXPECT_EQ(data_of("\n\n\ndata: a\n\n\n\n"), (Strings{"a"}));
  EXPECT_EQ(data_of("\xEF\xBB\xBF" "data: a\n\n"), (Strings{"a"}));
  EXPECT_EQ(data_of("\xEF\xBB" "data: a\n\ndata: b\n\n"), (Strings{"b"}));
  EXPECT_EQ(data_of("retry: 5\nunknown: x\ndata: a\n\n"), (Strings{"a"}));
  EXPECT_EQ(data_of("databank: a\n\nDATA: b\n\n data: c\n\n"), (Strings{}));
  EXPECT_EQ(data_of("data: unfinished\n"), (Strings{}));
}

TEST(SseSplitter, GivesTypeIdAndTheBytesThemselves) {
  const auto out = split("event: ping\nid: 7\ndata: {}\n: c\n\n", {});
  ASSERT_EQ(out.events.size(), 1u);
  EXPECT_EQ(out.events[0], (Seen{"{}", "ping", "7", "event: ping\nid: 7\ndata: {}\n: c\n\n"}));
}

TEST(SseSplitter, GivesTheUnfinishedEventAtTheEnd) {
  const auto out = split("data: a\n\ndata: [DONE]", {});
  ASSERT_EQ(out.events.size(), 1u);
  ASSERT_TRUE(out.tail);
  EXPECT_EQ(out.tail->data, "[DONE]");
  EXPECT_EQ(split("data: a\r\r", {}).tail->data, "a");
  EXPECT_FALSE(split("data: a\n\n: bye", {}).tail);
}

TEST(SseSplitter, DoesNotCopyAnEventThatCameInOnePiece) {
  const std::string text = "data: one\n\ndata: two\n\n";
  SseSplitter splitter;
  splitter.feed(text);
  for (int i = 0; i < 2; ++i) {
    auto event = splitter.next();
    ASSERT_TRUE(event && *event);
    EXPECT_GE((*event)->data.data(), text.data());
    EXPECT_LT((*event)->data.data(), text.data() + text.size());
  }
}

TEST(SseSplitter, RefusesAnEventOverTheLimit) {
  SseLimits limits;
  limits.event_bytes = 16;
  EXPECT_FALSE(split("data: 12345678\n\n", {}, limits).failed);
  EXPECT_TRUE(split("data: 123456789\n\n", {}, limits).failed);
  EXPECT_TRUE(split("data: 12345678901234567890", {}, limits).failed);
}

TEST(SseSplitter, GivesTheSameForEverySplit) {
  const std::string texts[] = {
      "data: a\n\ndata: b\r\n\r\n: c\rdata: d\r\r\n\nevent: e\ndata: f\ndata: g\n\n",
      "\xEF\xBB\xBF" "data: x\r\n\r\ndata: y",
      "\xEF\xBB\n\ndata: z\r\r\rdata: w\n\n\n",
      "id: 1\r\n\r\n\r\ndata\r\n\r\n",
  };
  for (const std::string& text : texts) {
    const Outcome whole = split(text, {});
    for (std::size_t i = 0; i <= text.size(); ++i) {
      for (std::size_t j = i; j <= text.size(); ++j) {
        ASSERT_EQ(split(text, {i, j}), whole) << "cut at " << i << ", " << j;
      }
    }
  }
}

TEST(SseSplitter, GivesTheSameForRandomTextAndSplits) {
  SeededRandom random(7);
  static constexpr std::string_view kParts[] = {"data: ", "data:", "event: ", "id: ", ": ", "\n", "\r", "\r\n", "\n\n", "x", "yy", "\xEF\xBB\xBF", " "};
  SseLimits limits;
  limits.event_bytes = 64;
  for (int round = 0; round < 3'000; ++round) {
    std::string text;
    for (std::uint64_t n = random.below(30); n > 0; --n) text += kParts[random.below(std::size(kParts))];
    const Outcome whole = split(text, {}, limits);
    std::vector<std::size_t> cuts;
    for (std::size_t at = 0; at < text.size(); at += 1 + random.below(5)) cuts.push_back(at);
    ASSERT_EQ(split(text, cuts, limits), whole) << testing::PrintToString(text);
  }
}

TEST(SseWriter, WritesWhatTheSplitterReads) {
  std::string out;
  append_sse_event(out, "one line", "message_delta");
  append_sse_event(out, "two\nlines\r\nthree\rfour\n");
  append_sse_event(out, "");
  out += kSseHeartbeat;
  out += kSseDone;
  const auto seen = split(out, {}).events;
  ASSERT_EQ(seen.size(), 4u);
  EXPECT_EQ(seen[0].data, "one line");
  EXPECT_EQ(seen[0].event, "message_delta");
  EXPECT_EQ(seen[1].data, "two\nlines\nthree\nfour\n");
  EXPECT_EQ(seen[2].data, "");
  EXPECT_EQ(seen[3].data, "[DONE]");
}

}  // namespace
}  // namespace understudy::net
