// The two traces of the seed documents: every figure to the picodollar.
#include <cstdlib>
#include <sstream>

#include "audit/audit_test_util.h"
#include "base/money.h"

namespace understudy::audit {
namespace {

using test::audit_json;
using test::fixture;
using test::Json;

Json expected(const std::string& name) {
  std::ifstream in(fixture("seed/" + name));
  std::stringstream text;
  text << in.rdbuf();
  return Json(text.str());
}

/// "0.24400000" USD as picodollars.
std::string picousd(const std::string& usd) { return to_string(Int128{parse_decimal(usd, kPicousdPerUsd)->value}); }

/// "55.4371" % rounds the exact share that ours prints with eight digits.
void expect_percent(const std::string& share, const std::string& percent) {
  const auto ours = parse_decimal(share, 100'000'000);
  const auto theirs = parse_decimal(percent, 1'000'000);
  ASSERT_TRUE(ours && theirs) << share << " against " << percent;
  EXPECT_LE(std::abs(ours->value - theirs->value), 50) << share << " against " << percent << " %";
}

void expect_equal(const Json& ours, const Json& e) {
  EXPECT_EQ(ours.at("/schema"), "understudy.audit/1");
  EXPECT_EQ(ours.at("/calls"), e.at("/calls"));
  EXPECT_EQ(ours.at("/requests"), e.at("/requests"));
  EXPECT_EQ(ours.at("/total_picousd"), e.at("/total_picousd"));
  EXPECT_EQ(ours.at("/concentration/model"), e.at("/concentration/model"));
  EXPECT_EQ(ours.at("/concentration/band"), e.at("/concentration/band"));
  expect_percent(ours.at("/concentration/share"), e.at("/concentration/pct"));
  for (int i = 0; i < 4; ++i) {
    const std::string p = "/steps/" + std::to_string(i);
    EXPECT_EQ(ours.at(p + "/step"), e.at(p + "/step"));
    for (const char* field : {"/calls", "/tok_in", "/tok_out", "/cost_picousd", "/candidate"}) EXPECT_EQ(ours.at(p + field), e.at(p + field)) << p << field;
    EXPECT_EQ(ours.at(p + "/counterfactual_picousd"), picousd(e.at(p + "/counterfactual_usd")));
    expect_percent(ours.at(p + "/share"), e.at(p + "/share_pct"));
    EXPECT_EQ(ours.at(p + "/source/explicit"), ours.at(p + "/calls"));
  }
  EXPECT_EQ(ours.at("/steps/4"), "(missing)");
  EXPECT_EQ(ours.at("/counterfactual/total_picousd"), picousd(e.at("/counterfactual/total_usd")));
  expect_percent(ours.at("/counterfactual/reduction"), e.at("/counterfactual/reduction_pct"));
  EXPECT_EQ(ours.at("/specialist_eligible_fraction"), e.at("/specialist_eligible/fraction"));
  EXPECT_EQ(ours.at("/specialist_eligible_fraction_upper"), e.at("/specialist_eligible/fraction"));
  EXPECT_EQ(ours.at("/addressable_fraction"), e.at("/specialist_eligible/fraction"));
  EXPECT_EQ(ours.at("/weekly/0/week"), e.at("/weekly/0/week"));
  EXPECT_EQ(ours.at("/weekly/0/fraction"), e.at("/weekly/0/fraction"));
  EXPECT_EQ(ours.at("/weekly/1"), "(missing)");
  EXPECT_EQ(ours.at("/signals/frontier_calls_per_request/value"), "4.00000000");
  for (const char* s : {"concentration", "frontier_calls_per_request", "generate_share", "tokens_per_request", "rerank_or_faithfulness_share",
                        "specialist_eligible_fraction"}) {
    EXPECT_EQ(ours.at(std::string("/signals/") + s + "/band"), "confirmed") << s;
  }
  expect_percent(ours.at("/signals/generate_share/value"), e.at("/signals/generate_share_pct/0"));
  EXPECT_EQ(ours.at("/signals/tokens_per_request/value").substr(0, 10), e.at("/signals/mean_tokens_per_request/0"));
  EXPECT_EQ(ours.at("/verdict"), "confirmed");
  EXPECT_EQ(ours.at("/inputs/format"), "plain-jsonl");
  EXPECT_EQ(ours.at("/prices/books/0/name"), "seed_prices.json");
}

TEST(SeedTraces, Test2IsExact) {
  const Json ours = audit_json({fixture("seed/seed_test2.jsonl.gz"), "--prices", fixture("seed/seed_prices.json")});
  expect_equal(ours, expected("seed_test2.expected.json"));
  EXPECT_EQ(ours.at("/total_usd"), "70.350000000");
  EXPECT_EQ(ours.at("/counterfactual/reduction"), "0.76075338");
  EXPECT_EQ(ours.at("/steps/0/share"), "0.55437100");
  EXPECT_EQ(ours.at("/counterfactual/ladder/0/step"), "rerank");
  EXPECT_EQ(ours.at("/counterfactual/ladder/0/saved_picousd"), "38756000000000");
}

TEST(SeedTraces, Test3IsExact) {
  expect_equal(audit_json({fixture("seed/seed_test3.jsonl.gz"), "--prices", fixture("seed/seed_prices.json")}), expected("seed_test3.expected.json"));
}

TEST(SeedTraces, ResultsDoNotDependOnThreads) {
  const auto run = [](const char* threads) {
    return test::audit({fixture("seed/seed_test3.jsonl.gz"), "--prices", fixture("seed/seed_prices.json"), "--json", "--threads", threads}).out;
  };
  const std::string one = run("1");
  EXPECT_FALSE(one.empty());
  EXPECT_EQ(one, run("2"));
  EXPECT_EQ(one, run("7"));
}

TEST(SeedTraces, ProjectionScalesTheBill) {
  const Json j = audit_json({fixture("seed/seed_test2.jsonl.gz"), "--prices", fixture("seed/seed_prices.json"), "--users", "100000", "--requests-per-user", "10"});
  EXPECT_EQ(j.at("/projection/now_picousd"), "70350000000000000");  // 0.07035 USD a request, a million requests
  EXPECT_EQ(j.at("/projection/specialised_picousd"), "16831000000000000");
  // mini answers all (0.05/0.20 per 1M: 19.7 M tokens in, 0.75 M out = 1.135 USD), 30 % escalated, half of them left: 15 % of 70.35
  EXPECT_EQ(j.at("/projection/cascade_picousd"), "11687500000000000");
}

TEST(Golden, ExampleReportIsWhatIsPrinted) {
  const std::string folder = std::string(UNDERSTUDY_SOURCE_DIR) + "/examples/audit/";
  const test::Run run = test::audit({folder + "trace.jsonl.gz", "--now", "2026-02-01T00:00:00Z"});
  ASSERT_EQ(run.status, 0) << run.err;
  if (std::getenv("UNDERSTUDY_WRITE_EXAMPLES") != nullptr) std::ofstream(folder + "report.txt") << run.out;
  std::ifstream in(folder + "report.txt");
  const std::string example{std::istreambuf_iterator<char>(in), {}};
  EXPECT_EQ(run.out, example) << "where the change is meant: UNDERSTUDY_WRITE_EXAMPLES=1, then read the difference";
}

}  // namespace
}  // namespace understudy::audit
