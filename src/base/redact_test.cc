#include "base/redact.h"

#include <gtest/gtest.h>

#include "base/json_writer.h"
#include "base/random.h"

namespace understudy {
namespace {

const Redactor kAll(Redactor::kEmail | Redactor::kPhone | Redactor::kCard);

TEST(Redact, ReplacesWhatItKnows) {
  EXPECT_EQ(kAll.text("write to jane.doe+x@mail.example.com."), "write to [EMAIL].");
  EXPECT_EQ(kAll.text("<a@b.co>,c@d.org"), "<[EMAIL]>,[EMAIL]");
  EXPECT_EQ(kAll.text("call +49 170 1234567 now"), "call [PHONE] now");
  EXPECT_EQ(kAll.text("call (555) 123-4567!"), "call [PHONE]!");
  EXPECT_EQ(kAll.text("call 555-123-4567, please"), "call [PHONE], please");
  EXPECT_EQ(kAll.text("tel 0170/1234567"), "tel [PHONE]");
  EXPECT_EQ(kAll.text("card 4111 1111 1111 1111 exp 12/27"), "card [CARD] exp 12/27");
  EXPECT_EQ(kAll.text("5500-0000-0000-0004"), "[CARD]");
  EXPECT_EQ(kAll.text("378282246310005"), "[CARD]");
  EXPECT_EQ(kAll.text("4222222222222 and 4111111111111111"), "[CARD] and [CARD]");
}

TEST(Redact, LeavesTheRest) {
  for (const std::string_view text :
       {"order 4111111111111112", "on 2026-11-28 21:00:00", "28.11.2026 12:00", "host 192.168.100.200", "pi 3.14159265358979", "user@localhost", "a @ b.com",
        "1,234,567,890.12", "id 20261128", "req_01HZX3K7Q8", "price 19.99 - 29.99", "1760000000000000", "a1234567890123", "v1.2.3@4.5", "@handle",
        "12345678", "1760000000.123456789"}) {
    EXPECT_EQ(kAll.text(text), text);
  }
}

TEST(Redact, OnlyTheKindsThatWereAskedFor) {
  const std::string text = "a@b.co +4917012345678 4111111111111111";
  EXPECT_EQ(Redactor(Redactor::kEmail).text(text), "[EMAIL] +4917012345678 4111111111111111");
  EXPECT_EQ(Redactor(Redactor::kPhone).text(text), "a@b.co [PHONE] 4111111111111111");
  EXPECT_EQ(Redactor(Redactor::kCard).text(text), "a@b.co +4917012345678 [CARD]");
  EXPECT_EQ(Redactor().text(text), text);
  EXPECT_EQ(Redactor::create({"email", "card"})->kinds(), Redactor::kEmail | Redactor::kCard);
  const auto wrong = Redactor::create({"name"});
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().message.find("'name'"), std::string::npos);
}

TEST(Redact, JsonStaysJson) {
  EXPECT_EQ(kAll.json(R"({"a@b.co":["x\n\"me@c.de\"",{"n":4111111111111111,"m":-4111111111111111,"t":1.5e3}]})"),
            R"({"[EMAIL]":["x\n\"[EMAIL]\"",{"n":"[CARD]","m":-4111111111111111,"t":1.5e3}]})");
  EXPECT_EQ(kAll.json(R"("\nuser\u0040example.com")"), R"("\n[EMAIL]")") << "an escaped @ is an @";
  EXPECT_EQ(kAll.json(R"({"arguments":"{\"to\":\"\\nme@c.de\"}"})"), R"({"arguments":"{\"to\":\"\\n[EMAIL]\"}"})") << "JSON inside of a text stays JSON, too";
  EXPECT_EQ(kAll.json(R"({"broken me@c.de)"), R"({"broken [EMAIL])");
  EXPECT_EQ(kAll.json(R"({"max_tokens":4096,"t":1760000000000,"seed":17})"), R"({"max_tokens":4096,"t":1760000000000,"seed":17})");
}

TEST(Redact, LuhnKnowsItsOwn) {
  EXPECT_TRUE(passes_luhn("79927398713"));
  EXPECT_FALSE(passes_luhn("79927398710"));
  EXPECT_FALSE(passes_luhn(""));
  EXPECT_FALSE(passes_luhn("4x"));
}

/// Random texts from pieces that are near to what is looked for.
std::string random_text(Random& random) {
  static constexpr std::string_view kPieces[] = {"@", ".", "+", "(", ")", "-", "/", " ", "a", "mail", "example.com", "4111", "1111", "5500000000000004", "0170", "555", "49",
                                                 "\\", "\n", "\"", "u0040", "\xC3\xA4", "2026-11-28", "me@c.de", "192.168.1.1", "[", "]", "{", ":", "7", "'"};
  std::string text;
  for (std::uint64_t n = random.below(14); n > 0; --n) text += kPieces[random.below(std::size(kPieces))];
  return text;
}

/// Without white space outside of strings a JSON text is its own canonical form as far as quotes go: they must stay balanced.
bool strings_are_whole(std::string_view json) {
  bool inside = false;
  for (std::size_t i = 0; i < json.size(); ++i) {
    if (inside && json[i] == '\\') {
      if (++i == json.size()) return false;
      if (std::string_view("\"\\/bfnrtu").find(json[i]) == std::string_view::npos) return false;
      continue;
    }
    if (inside && static_cast<unsigned char>(json[i]) < 0x20) return false;
    if (json[i] == '"') inside = !inside;
  }
  return !inside;
}

TEST(Redact, WhatAMarkLeavesFreeIsSeenToo) {
  const std::string text = "(555) 123-4567 192.168.0.1.1 2026-11-28  2026-11-28 a@b";
  EXPECT_EQ(kAll.text(kAll.text(text)), kAll.text(text));
}

TEST(Redact, PropertiesHoldForAnyText) {
  SeededRandom random(11);
  for (int i = 0; i < 20'000; ++i) {
    const std::string text = random_text(random);
    SCOPED_TRACE(text);
    const std::string once = kAll.text(text);
    EXPECT_EQ(kAll.text(once), once) << "twice is once";
    EXPECT_EQ(once.find("me@c.de"), std::string::npos);
    std::string json;
    JsonWriter w(json);
    w.begin_object().field("k", text).key("n").begin_array().number(0.5).end_array().end_object();
    const std::string redacted = kAll.json(json);
    EXPECT_TRUE(strings_are_whole(redacted)) << redacted;
    EXPECT_EQ(kAll.json(redacted), redacted);
    std::string wanted;
    JsonWriter v(wanted);
    v.begin_object().field("k", once).key("n").begin_array().number(0.5).end_array().end_object();
    EXPECT_EQ(redacted, wanted) << "inside of JSON the same is found as outside";
  }
}

}  // namespace
}  // namespace understudy
