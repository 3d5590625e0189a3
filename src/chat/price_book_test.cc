#include "chat/price_book.h"

#include <gtest/gtest.h>

#include "base/time_format.h"

namespace understudy {
namespace {

WallTime at(const char* text) { return *parse_rfc3339(text); }

PriceBook book(const std::string& models) {
  auto parsed = PriceBook::parse(R"({"schema":"understudy.prices/1","unit":"usd_per_1M_tokens","date":"2026-05-17","models":[)" +
                                     models + "]}", "test");
  EXPECT_TRUE(parsed.has_value()) << (parsed ? "" : parsed.error().message);
  return parsed ? std::move(*parsed) : PriceBook();
}

std::string refusal(const std::string& json) {
  auto parsed = PriceBook::parse(json, "bad.json");
  EXPECT_FALSE(parsed.has_value()) << json;
  if (parsed) return "";
  EXPECT_EQ(parsed.error().kind, ErrorKind::kConfig);
  return parsed.error().message;
}

std::int64_t cost(const PriceBook& prices, const Usage& usage, PriceQuery query) {
  const auto c = prices.cost(usage, query);
  return c ? c->value : -1;
}

TEST(PriceBook, PricesThePlainCase) {
  const PriceBook b = book(R"({"id":"m","prices":[{"in":"3.00","out":"15.00"}]})");
  // 12,000 * 3 USD/1M + 200 * 15 USD/1M = 0.036 + 0.003
  EXPECT_EQ(cost(b, {.input = 12'000, .output = 200}, {.model = "m"}), 39'000'000'000);
}

TEST(PriceBook, UnknownIsNotZero) {
  const PriceBook b = book(R"({"id":"m","prices":[{"in":"1"}]},{"id":"later","prices":[{"from":"2026-06-01","in":"1","out":"1"}]})");
  EXPECT_FALSE(b.cost({.input = 1}, {.model = "nobody"}).has_value());
  EXPECT_FALSE(b.cost({.input = 1, .output = 1}, {.model = "m"}).has_value()) << "the output has no price";
  EXPECT_TRUE(b.cost({.input = 1}, {.model = "m"}).has_value());
  EXPECT_FALSE(b.cost({.input = 1}, {.model = "later", .at = at("2026-05-31")}).has_value());
  EXPECT_FALSE(b.cost({.input = 1, .cached_input = 2}, {.model = "m"}).has_value()) << "more cached than sent";
  EXPECT_FALSE(b.cost({.input = -1}, {.model = "m"}).has_value());
  EXPECT_FALSE(b.cost({.input = INT64_MAX}, {.model = "m"}).has_value()) << "does not fit";
}

TEST(PriceBook, CachedTokensHaveTheirPriceOrTheInputs) {
  const PriceBook b = book(
      R"({"id":"a","prices":[{"in":"3","out":"15","cache_read":"0.3","cache_write":"3.75","cache_write_1h":"6"}]},
         {"id":"b","prices":[{"in":"3","out":"15"}]})");
  const Usage usage{.input = 1000, .cached_input = 500, .cache_write_5m = 200, .cache_write_1h = 100, .output = 10};
  // 200*3 + 500*0.3 + 200*3.75 + 100*6 + 10*15 = 600 + 150 + 750 + 600 + 150 micro-USD
  EXPECT_EQ(cost(b, usage, {.model = "a"}), 2'250'000'000);
  EXPECT_EQ(cost(b, usage, {.model = "b"}), 3'150'000'000);  // 1000*3 + 150
}

TEST(PriceBook, ReasoningIsOutputUnlessPricedApart) {
  const PriceBook b = book(R"({"id":"a","prices":[{"in":"0","out":"8","out_reasoning":"3"}]},{"id":"b","prices":[{"in":"0","out":"8"}]})");
  const Usage usage{.output = 100, .reasoning = 60};
  EXPECT_EQ(cost(b, usage, {.model = "a"}), (40 * 8 + 60 * 3) * 1'000'000);
  EXPECT_EQ(cost(b, usage, {.model = "b"}), 100 * 8 * 1'000'000);
}

TEST(PriceBook, LongContextIsACliffOverTheWholeCall) {
  const PriceBook b = book(
      R"({"id":"m","prices":[{"in":"3","out":"15","cache_read":"0.3","above_input_tokens":{"200000":{"in":"6","out":"22.5"}}}]})");
  EXPECT_EQ(cost(b, {.input = 200'000, .output = 10}, {.model = "m"}), (200'000 * 3 + 150) * 1'000'000LL);
  // Strictly greater; cached tokens count towards the threshold and keep their price, which the cliff does not name.
  EXPECT_EQ(cost(b, {.input = 200'001, .cached_input = 1, .output = 10}, {.model = "m"}),
            200'000 * 6'000'000LL + 300'000 + 10 * 22'500'000LL);
}

TEST(PriceBook, DatedPricesHoldFromMidnightUtcInclusive) {
  const PriceBook b = book(R"({"id":"m","prices":[{"in":"2","out":"2"},{"from":"2026-09-01","in":"3","out":"3"}]})");
  EXPECT_EQ(cost(b, {.input = 1}, {.model = "m", .at = at("2026-08-31T23:59:59.999999Z")}), 2'000'000);
  EXPECT_EQ(cost(b, {.input = 1}, {.model = "m", .at = at("2026-09-01T00:00:00Z")}), 3'000'000);
  EXPECT_EQ(cost(b, {.input = 1}, {.model = "m", .at = at("2026-09-01T01:00:00+02:00")}), 2'000'000);
}

TEST(PriceBook, DailyWindowsAreHalfOpenAndMayWrapMidnight) {
  const PriceBook b = book(
      R"({"id":"day","prices":[{"in":"1"},{"utc_from":"00:30:00Z","utc_to":"16:30:00Z","in":"2"}]},
         {"id":"night","prices":[{"in":"1"},{"utc_from":"22:00:00Z","utc_to":"06:00:00Z","in":"2"}]})");
  const auto price = [&](const char* model, const char* time) {
    return cost(b, {.input = 1}, {.model = model, .at = at(time)}) / 1'000'000;
  };
  EXPECT_EQ(price("day", "2026-05-11T00:29:59Z"), 1);
  EXPECT_EQ(price("day", "2026-05-11T00:30:00Z"), 2);
  EXPECT_EQ(price("day", "2026-05-11T16:29:59.9Z"), 2);
  EXPECT_EQ(price("day", "2026-05-11T16:30:00Z"), 1);
  EXPECT_EQ(price("night", "2026-05-11T23:00:00Z"), 2);
  EXPECT_EQ(price("night", "2026-05-11T05:59:59Z"), 2);
  EXPECT_EQ(price("night", "2026-05-11T06:00:00Z"), 1);
  // Before 1970 the second is rounded down, at the far end too.
  EXPECT_EQ(price("day", "1969-12-31T00:29:59.9Z"), 1);
  EXPECT_TRUE(b.find("", "night")->prices({INT64_MIN}, 0, ""));
}

TEST(PriceBook, ServiceTiersFallBackToStandard) {
  const PriceBook b = book(R"({"id":"m","prices":[{"in":"2","out":"8","batch_in":"1","batch_out":"4","flex_in":"1.5","cache_read":"0.5"}]})");
  const Usage usage{.input = 10, .output = 1};
  EXPECT_EQ(cost(b, usage, {.model = "m", .service_tier = "batch"}), 14'000'000);
  EXPECT_EQ(cost(b, usage, {.model = "m", .service_tier = "flex"}), 23'000'000);
  EXPECT_EQ(cost(b, usage, {.model = "m", .service_tier = "priority"}), 28'000'000);
  EXPECT_EQ(cost(b, usage, {.model = "m", .service_tier = "default"}), 28'000'000);
}

TEST(PriceBook, PerCallPricesAreAdded) {
  const PriceBook b = book(
      R"({"id":"rr","mode":"rerank","prices":[{"in":"0","out":"0","per_query":"0.002"}]},
         {"id":"sonar","prices":[{"in":"1","out":"1","per_1k_requests":"12","per_1k_web_searches":"5"}]})");
  EXPECT_EQ(cost(b, {}, {.model = "rr"}), 2'000'000'000);
  EXPECT_EQ(cost(b, {}, {.model = "rr", .calls = 3}), 6'000'000'000);
  EXPECT_EQ(cost(b, {.input = 1}, {.model = "sonar", .web_searches = 2}), 1'000'000 + 12'000'000'000 + 10'000'000'000);
  EXPECT_EQ(b.find("", "rr")->tier, ModelTier::kSpecialist);
}

TEST(PriceBook, EqualityThenLongestRuleThenLongestPrefix) {
  const PriceBook b = book(
      R"({"id":"gpt-x","match":[{"prefix":"gpt"}],"prices":[{"in":"1"}]},
         {"id":"other","match":[{"contains":"gpt-x-mini"}],"prices":[{"in":"2"}]},
         {"id":"plain","prices":[{"in":"3"}]},{"id":"plain-long","prices":[{"in":"4"}]},
         {"id":"re","match":[{"regex":"^grok-4\\.3-\\d{8}$"}],"prices":[{"in":"5"}]},
         {"id":"alls","match":[{"all":[{"prefix":"zed"},[{"suffix":"-a"},{"suffix":"-b"}]]}],"prices":[{"in":"6"}]})");
  const auto id = [&](const char* model) {
    const ModelPrices* m = b.find("", model);
    return m == nullptr ? std::string("none") : m->id;
  };
  EXPECT_EQ(id("gpt-x"), "gpt-x");
  EXPECT_EQ(id("GPT-X"), "gpt-x");
  EXPECT_EQ(id("gpt-x-mini-2026"), "other");
  EXPECT_EQ(id("gpt-5"), "gpt-x");
  EXPECT_EQ(id("plain-2"), "plain");
  EXPECT_EQ(id("plain-long-2"), "plain-long");
  EXPECT_EQ(id("grok-4.3-20260101"), "re");
  EXPECT_EQ(id("grok-4.3-2026"), "none");
  EXPECT_EQ(id("zed-1-b"), "alls");
  EXPECT_EQ(id("zed-1-c"), "none");
  EXPECT_EQ(id("azure/plain"), "plain");
  EXPECT_EQ(id(""), "none");
}

TEST(PriceBook, TheUsersBookComesFirst) {
  const PriceBook user = book(R"({"id":"ours","match":[{"prefix":"gpt-4o"}],"prices":[{"in":"1","out":"1"}]},
                                 {"id":"free","prices":[{"in":"0","out":"0"}]},{"id":"gpt","prices":[{"in":"9","out":"9"}]})");
  const PriceBook both = user.over(PriceBook::embedded());
  EXPECT_EQ(both.find("openai", "gpt-4o")->id, "ours");
  EXPECT_EQ(both.find("anthropic", "claude-sonnet-4-5")->book, "genai-prices");
  EXPECT_EQ(both.find("", "gpt-4.1")->book, "genai-prices") << "a user's short id is no prefix rule over a known model";
  EXPECT_EQ(cost(both, {.input = 5}, {.model = "free"}), 0) << "a user's zero is believed";
  EXPECT_EQ(both.books().size(), 3u);
  EXPECT_EQ(both.books()[0].name, "test");
}

TEST(PriceBook, TiersComeFromTheBlendedPrice) {
  EXPECT_EQ(tier_of_prices(3'000'000, 15'000'000), ModelTier::kFrontier);
  EXPECT_EQ(tier_of_prices(2'500'000, 2'500'000), ModelTier::kFrontier);
  EXPECT_EQ(tier_of_prices(2'499'999, 2'500'000), ModelTier::kMid);
  EXPECT_EQ(tier_of_prices(200'000, 200'000), ModelTier::kMid);
  EXPECT_EQ(tier_of_prices(40'000, 40'000), ModelTier::kMini);
  EXPECT_EQ(tier_of_prices(39'999, 40'000), ModelTier::kSpecialist);
  const PriceBook& b = PriceBook::embedded();
  EXPECT_EQ(b.find("openai", "gpt-4o")->tier, ModelTier::kFrontier);
  EXPECT_EQ(b.find("openai", "gpt-4o-mini")->tier, ModelTier::kMid);
  EXPECT_EQ(b.find("openai", "text-embedding-3-small")->tier, ModelTier::kEmbed);
  EXPECT_EQ(b.find("cohere", "rerank-english-v3.0")->tier, ModelTier::kSpecialist);
  EXPECT_EQ(b.representative(ModelTier::kSpecialist)->tier, ModelTier::kSpecialist);
  EXPECT_EQ(b.representative(ModelTier::kSpecialist)->book, "genai-prices");
  EXPECT_GT(*b.representative(ModelTier::kSpecialist)->listed().in, 0);
}

TEST(EmbeddedPriceBook, KnowsTheNamesThatTracesUse) {
  const PriceBook& b = PriceBook::embedded();
  struct Case { const char* provider; const char* model; const char* in_per_million; };
  for (const Case& c : {Case{"openai", "gpt-4o-2024-08-06", "2.5"}, Case{"openai", "gpt-4o-2024-05-13", "5"},
                        Case{"", "gpt-4o-mini-2024-07-18", "0.15"}, Case{"anthropic", "claude-sonnet-4-5-20250929", "3"},
                        Case{"", "claude-3-5-haiku-20241022", "0.8"}, Case{"azure", "azure/gpt-4o", "2.5"},
                        Case{"", "gemini/gemini-2.5-flash", "0.3"}, Case{"vertex_ai", "models/gemini-2.5-flash", "0.3"},
                        Case{"aws.bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "3.3"}}) {
    const ModelPrices* m = b.find(c.provider, c.model);
    ASSERT_NE(m, nullptr) << c.model;
    EXPECT_EQ(m->listed().in.value_or(-1), parse_decimal(c.in_per_million, 1'000'000)->value) << c.model << " -> " << m->id;
  }
  EXPECT_EQ(b.find("", "no-such-model-anywhere"), nullptr);
}

TEST(EmbeddedPriceBook, LendsServiceTiersToTheListThatLacksThem) {
  // 1,000 input tokens of gpt-4o: standard 2.50, batch 1.25 USD per 1M (the batch price stands only in the second list).
  const PriceBook& b = PriceBook::embedded();
  EXPECT_EQ(cost(b, {.input = 1000}, {.provider = "openai", .model = "gpt-4o"}), 2'500'000'000);
  EXPECT_EQ(cost(b, {.input = 1000}, {.provider = "openai", .model = "gpt-4o", .service_tier = "batch"}), 1'250'000'000);
}

TEST(EmbeddedPriceBook, EveryModelIsReadAndFoundByItsOwnName) {
  // read_price_file refuses a price that is not a whole number of picodollars per token, and a failure to read the
  // embedded lists stops the program: what is left to check is that nothing was left out and everything can be found.
  const PriceBook& b = PriceBook::embedded();
  ASSERT_EQ(b.books().size(), 2u);
  EXPECT_EQ(b.books()[0].models, 519u);
  EXPECT_EQ(b.books()[1].models, 1469u);
  EXPECT_EQ(b.books()[0].date, "2026-08-21");
  EXPECT_EQ(b.books()[0].sha256, "a2b1a1b2db336d9d469ac012c9e656f9aa3070f67c78890ee5f0d045a8e0ccdd");
  EXPECT_EQ(b.books()[1].sha256, "dbf984928d6814c1dbaf9f75ebc446cb53fee427fb7714f8ddcaa71eb838d293");
  for (const ModelPrices* m : b.models()) {
    const ModelPrices* found = b.find(m->provider, m->id);
    ASSERT_NE(found, nullptr) << m->provider << " " << m->id;
    const auto prices = found->prices(at("2026-11-01"), 1000);
    ASSERT_TRUE(prices.has_value()) << m->id;
    EXPECT_TRUE(prices->in || prices->out || prices->per_call > 0) << m->id;
    for (const auto price : {prices->in, prices->out}) {
      EXPECT_LE(price.value_or(0), 1'000'000'000) << m->id << " costs more than 1000 USD per 1M tokens";
    }
  }
}

TEST(PriceBook, RefusesWhatItCannotTrust) {
  const std::string head = R"({"schema":"understudy.prices/1","unit":"usd_per_1M_tokens","models":[)";
  EXPECT_NE(refusal(R"({"schema":"understudy.prices/1","models":[]})").find("unit"), std::string::npos);
  EXPECT_NE(refusal(R"({"schema":"understudy.prices/1","unit":"usd_per_1K_tokens","models":[]})").find("unit"), std::string::npos);
  EXPECT_NE(refusal(R"({"unit":"usd_per_1M_tokens","models":[]})").find("schema"), std::string::npos);
  EXPECT_NE(refusal(head + R"({"id":"m","prices":[{"in":0.25}]}]})").find("decimal string"), std::string::npos);
  EXPECT_NE(refusal(head + R"({"id":"m","prices":[{"in":"-1"}]}]})").find("negative"), std::string::npos);
  EXPECT_NE(refusal(head + R"({"id":"m","prices":[{"in":"0.0000001"}]}]})").find("picodollar"), std::string::npos);
  EXPECT_NE(refusal(head + R"({"id":"m","prices":[{"input":"1"}]}]})").find("input"), std::string::npos);
  EXPECT_NE(refusal(head + R"({"id":"m","prices":[]}]})").find("model \"m\""), std::string::npos);
  EXPECT_NE(refusal(head + R"({"id":"m","match":[{"regex":"("}],"prices":[{"in":"1"}]}]})").find("regex"), std::string::npos);
  EXPECT_NE(refusal(head + R"({"id":"m","match":[{"like":"x"}],"prices":[{"in":"1"}]}]})").find("like"), std::string::npos);
  EXPECT_NE(refusal(head + R"({"id":"m","prices":[{"in":"1","from":"soon"}]}]})").find("date"), std::string::npos);
  EXPECT_NE(refusal("[]").find("object"), std::string::npos);
  EXPECT_NE(refusal("{").find("JSON"), std::string::npos);
}

}  // namespace
}  // namespace understudy
