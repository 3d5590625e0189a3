// The command from outside: money rules, bad input, exit statuses.
#include <zlib.h>
#include <zstd.h>

#include "audit/audit_test_util.h"
#include "store/store.h"

namespace understudy::audit {
namespace {

using test::audit;
using test::audit_json;
using test::fixture;
using test::Json;
using test::TempDir;

const char* const kPrices = R"({"schema":"understudy.prices/1","unit":"usd_per_1M_tokens","date":"2026-01-01","models":[
{"id":"big","prices":[{"in":"3","out":"15","cache_read":"0.3"}]},{"id":"small","tier":"mini","prices":[{"in":"0.05","out":"0.2"}]},
{"id":"specialist","tier":"specialist","prices":[{"in":"0.02","out":"0.02"}]}]})";

std::string line(const std::string& rest, const std::string& model = "big") {
  return R"({"ts":"2026-05-11T00:00:00Z","model":")" + model + R"(","tok_in":1000,"tok_out":100)" + (rest.empty() ? "" : ",") + rest + "}\n";
}

class Command : public ::testing::Test {
 protected:
  Json run(const std::string& text, std::vector<std::string> more = {}, int status = 0) {
    more.insert(more.begin(), {dir_.write("t.jsonl", text), "--prices", dir_.write("p.json", kPrices)});
    return audit_json(std::move(more), status);
  }
  test::Run raw(const std::string& text, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {dir_.write("t.jsonl", text), "--prices", dir_.write("p.json", kPrices)});
    return audit(std::move(more));
  }
  TempDir dir_;
};

TEST_F(Command, CountsMalformedRowsWithTheirLines) {
  const Json j = run(line("") + "{broken\n\n\r\n" + line(R"("step":"rerank")") + R"({"model":"big","tok_in":-1,"tok_out":1})" + "\n" +
                     R"({"model":"big","tok_in":1})" + "\n" + R"({"ts":"2026-02-30T00:00:00Z","model":"big","tok_in":1,"tok_out":1})" + "\n");
  EXPECT_EQ(j.at("/inputs/rows_accepted"), "2");
  EXPECT_EQ(j.at("/inputs/rows_malformed"), "4");
  EXPECT_EQ(j.at("/inputs/malformed_samples/0/line"), "2");
  EXPECT_EQ(j.at("/inputs/malformed_samples/1/line"), "6");
  EXPECT_NE(j.at("/inputs/malformed_samples/1/why").find("tok_in"), std::string::npos);
  EXPECT_EQ(j.at("/inputs/malformed_samples/2/why"), "tok_out is missing");
  EXPECT_EQ(j.at("/inputs/malformed_samples/3/line"), "8");
}

TEST_F(Command, AcceptsCrLfBlankLinesAndNoFinalNewline) {
  std::string text = line("") + "\n" + line("");
  for (std::size_t at = 0; (at = text.find('\n', at)) != std::string::npos; at += 2) text.insert(at, "\r");
  text += R"({"model":"big","tok_in":1,"tok_out":1})";
  EXPECT_EQ(run(text).at("/inputs/rows_accepted"), "3");
}

TEST_F(Command, DuplicateDeliveryIsOneRow) {
  const Json j = run(line(R"("call_id":"a")") + line(R"("call_id":"a")") + line(R"("call_id":"a","attempt":1)") + line(R"("call_id":"b")") + line("") + line(""));
  EXPECT_EQ(j.at("/inputs/rows_duplicate"), "1");
  EXPECT_EQ(j.at("/inputs/rows_accepted"), "5") << "rows without a call id are never duplicates";
}

TEST_F(Command, EveryAttemptIsPaidAndRetriesAreShown) {
  // 1000*3 + 100*15 = 4,500 micro-USD a row
  EXPECT_EQ(run(line(R"("call_id":"a","attempt":0)") + line(R"("call_id":"a","attempt":1)")).at("/retry_spend_picousd"), "4500000000");
  const Json one = run(line(R"("call_id":"a","attempt":1,"status":500)") + line(R"("call_id":"a","attempt":2)") + line(R"("call_id":"a","attempt":9)"));
  EXPECT_EQ(one.at("/retry_spend_picousd"), "9000000000");
  EXPECT_EQ(one.at("/total_picousd"), "13500000000");
  EXPECT_EQ(one.at("/errors/billed"), "1");
}

TEST_F(Command, FrontierCallsCountCallsNotAttempts) {
  const Json j = run(line(R"("request_id":"r","call_id":"a","attempt":2)") + line(R"("request_id":"r","call_id":"a","attempt":1)") +
                     line(R"("request_id":"r","call_id":"b")") + line(R"("request_id":"r")", "small") + line(R"("request_id":"q")", "small"));
  EXPECT_EQ(j.at("/requests"), "2");
  EXPECT_EQ(j.at("/signals/frontier_calls_per_request/value"), "1.00000000");
  EXPECT_EQ(j.at("/signals/frontier_calls_per_request/p95"), "2");
  EXPECT_EQ(j.at("/signals/tokens_per_request/value"), "2750.00000000");  // 5 rows of 1,100 over 2 requests
}

TEST_F(Command, CachedTokensAndCacheHits) {
  EXPECT_EQ(run(line(R"("cached_in":600)")).at("/total_picousd"), "2880000000");  // 400*3 + 600*0.3 + 1500
  EXPECT_EQ(run(line(R"("cached_in":600)"), {"--cached-outside"}).at("/total_picousd"), "4680000000");  // 1000*3 + 600*0.3 + 1500
  EXPECT_EQ(run(line(R"("cache_hit":true)") + line("")).at("/total_picousd"), "4500000000");
  EXPECT_EQ(run(line(R"("cached_in":2000)") + line("")).at("/inputs/rows_malformed"), "1");
}

TEST_F(Command, UnknownModelsAreNeverZero) {
  const Json j = run(line("") + line("", "mystery-9"), {}, 3);
  EXPECT_EQ(j.at("/unpriced/calls"), "1");
  EXPECT_EQ(j.at("/unpriced/tok_in"), "1000");
  EXPECT_EQ(j.at("/unpriced/models/0"), "mystery-9");
  EXPECT_EQ(j.at("/total_picousd"), "4500000000");
  EXPECT_EQ(j.at("/calls"), "2");
  std::string many;
  for (int i = 0; i < 200; ++i) many += line("");
  EXPECT_EQ(run(many + line("", "mystery-9")).at("/unpriced/calls"), "1") << "half a percent of the tokens is no failure";
}

TEST_F(Command, OnlyUnpricedModelsGiveNoShares) {
  const Json j = run(line(R"("step":"rerank")", "mystery-9"), {}, 3);
  EXPECT_EQ(j.at("/total_picousd"), "0");
  EXPECT_EQ(j.at("/specialist_eligible_fraction"), "null");
  EXPECT_EQ(j.at("/verdict"), "unknown");
  EXPECT_EQ(audit({dir_.path() + "/t.jsonl", "--prices", dir_.path() + "/p.json"}).status, 3);
}

TEST_F(Command, BillingPagesAnswerTestOneOnly) {
  for (const char* page : {"openai_costs.json", "openai_usage.json", "anthropic_cost.json", "anthropic_usage.json", "aws_cur.csv"}) {
    const Json j = audit_json({fixture(page)});
    EXPECT_NE(j.at("/concentration/band"), "unknown") << page;
    EXPECT_EQ(j.at("/specialist_eligible_fraction"), "null") << page << ": a bill knows no steps";
    EXPECT_EQ(j.at("/signals/generate_share/band"), "unknown") << page;
    EXPECT_EQ(j.at("/counterfactual/total_picousd"), j.at("/total_picousd")) << page;
    EXPECT_EQ(j.at("/weekly"), "[]") << page;
    EXPECT_NE(j.at("/verdict"), "confirmed") << page << ": one signal is not three";
  }
}

TEST_F(Command, TargetsOfStepsThatAreNotThereAreNamed) {
  const Json j = run(line(R"("step":"rerank")"), {"--specialize", dir_.write("s.json", R"({"steps":{"rerrank":{"usd_per_query":"0.001"},"rerank":"keep"}})")});
  bool named = false;
  for (int i = 0; i < 8; ++i) named |= j.at("/missing/" + std::to_string(i)).find("does not have: rerrank") != std::string::npos;
  EXPECT_TRUE(named);
}

TEST_F(Command, LoggedCostIsShownBesideOrChosen) {
  const std::string text = line(R"("cost_usd":0.005)");
  EXPECT_EQ(run(text).at("/models/0/logged_gap_picousd"), "500000000");
  EXPECT_EQ(run(text, {"--cost", "logged"}).at("/total_picousd"), "5000000000");
  EXPECT_EQ(run(line(R"("cost_usd":"0.0000000015")"), {"--cost", "logged"}).at("/total_picousd"), "1500");
}

TEST_F(Command, StepsComeFromTagsAndAliases) {
  const Json j = run(line(R"("tags":["prod","step:grade-docs"])") + line(R"("step":"llm_rerank")") + line(R"("step":"Our Thing")"),
                     {"--steps", dir_.write("s.json", R"({"aliases":{"eval":["grade-docs"],"route":["our thing"]}})")});
  EXPECT_EQ(j.step("eval", "calls"), "1");
  EXPECT_EQ(j.step("rerank", "calls"), "1");
  EXPECT_EQ(j.step("route", "calls"), "1");
}

TEST_F(Command, OpenEndedStepsAndUnknownKindsBoundTheFraction) {
  const Json j = run(line(R"("step":"plan")") + line(R"("step":"rerank")") + line(R"("step":"frobnicate")") + line(""));
  EXPECT_EQ(j.at("/specialist_eligible_fraction"), "0.50000000");
  EXPECT_EQ(j.at("/specialist_eligible_fraction_upper"), "0.75000000");
  EXPECT_EQ(j.at("/specialist_eligible_fraction_lower"), "0.25000000");
  EXPECT_EQ(j.at("/signals/generate_share/value"), "0.25000000");
}

TEST_F(Command, SpecializeMapsEachStep) {
  const std::string text = line(R"("step":"rerank")") + line(R"("step":"eval")") + line(R"("step":"route")") + line(R"("step":"rewrite")") + line(R"("step":"generate")");
  const Json j = run(text, {"--specialize", dir_.write("m.json", R"({"steps":{"rerank":{"usd_per_query":"0.001"},"eval":{"usd_per_1M":{"in":"1","out":"2"}},
    "route":{"usd_per_hour":"3.6","requests_per_s":10},"rewrite":"keep","generate":{"model":"small"}}})")});
  EXPECT_EQ(j.step("rerank", "counterfactual_picousd"), "1000000000");
  EXPECT_EQ(j.step("eval", "counterfactual_picousd"), "1200000000");       // 1000*1 + 100*2 micro-USD
  EXPECT_EQ(j.step("route", "counterfactual_picousd"), "100000000");       // 3.6 USD / 36,000 calls
  EXPECT_EQ(j.step("rewrite", "counterfactual_picousd"), "4500000000");
  EXPECT_EQ(j.step("generate", "counterfactual_picousd"), "70000000");     // 1000*0.05 + 100*0.2
  EXPECT_EQ(raw(text, {"--specialize", dir_.write("bad.json", R"({"steps":{"rerank":{"tier":"tiny"}}})")}).status, 2);
}

TEST_F(Command, SpecialistRowsKeepTheirCostAndAreNotAddressable) {
  const Json j = run(line(R"("step":"rerank")", "specialist") + line(R"("step":"rerank")"));
  EXPECT_EQ(j.at("/specialist_eligible_fraction"), "1.00000000");
  EXPECT_EQ(j.at("/addressable_fraction"), "0.99513490");  // 4500 / (4500 + 22)
  EXPECT_EQ(j.step("rerank", "counterfactual_picousd"), "44000000");
}

TEST_F(Command, WeeksRaiseAlarmsBothWays) {
  std::string text;
  const auto week = [&](const char* day, int eligible, int open) {
    for (int i = 0; i < eligible; ++i) text += std::string(R"({"ts":")") + day + R"(T12:00:00Z","model":"big","step":"rerank","tok_in":1000,"tok_out":0})" + "\n";
    for (int i = 0; i < open; ++i) text += std::string(R"({"ts":")") + day + R"(T12:00:00Z","model":"big","step":"generate","tok_in":1000,"tok_out":0})" + "\n";
  };
  week("2025-12-29", 10, 90);  // ISO week 2026-W01
  week("2026-01-05", 30, 70);  // up through 0.2 and 0.3 (an edge is reached)
  week("2026-01-12", 29, 71);  // down through 0.3
  week("2026-01-19", 1, 1);    // too few calls
  week("2026-01-26", 60, 40);  // up through 0.3 and 0.5
  week("2026-02-02", 0, 100);  // the present week: no alarm
  const Json j = run(text, {"--min-calls", "50", "--now", "2026-02-04T00:00:00Z"});
  EXPECT_EQ(j.at("/weekly/0/week"), "2026-W01");
  EXPECT_EQ(j.at("/weekly/1/fraction"), "0.30000000");
  EXPECT_EQ(j.at("/weekly/5/partial"), "true");
  const char* expected[][3] = {{"2026-W02", "0.2", "up"}, {"2026-W02", "0.3", "up"}, {"2026-W03", "0.3", "down"}, {"2026-W05", "0.3", "up"}, {"2026-W05", "0.5", "up"}};
  for (int i = 0; i < 5; ++i) {
    const std::string p = "/alarms/" + std::to_string(i);
    EXPECT_EQ(j.at(p + "/week"), expected[i][0]);
    EXPECT_EQ(j.at(p + "/threshold"), expected[i][1]);
    EXPECT_EQ(j.at(p + "/direction"), expected[i][2]);
  }
  EXPECT_EQ(j.at("/alarms/5"), "(missing)");
}

TEST_F(Command, ReconcilesWithABill) {
  const std::string bill = R"({"object":"page","data":[{"object":"bucket","start_time":1778457600,"end_time":1778544000,"results":[
    {"object":"organization.costs.result","amount":{"value":0.01,"currency":"usd"},"line_item":"big, input","project_id":"p"}]}]})";
  const Json j = run(line(""), {"--bill", dir_.write("bill.json", bill)});
  EXPECT_EQ(j.at("/reconcile/bill_picousd"), "10000000000");
  EXPECT_EQ(j.at("/reconcile/coverage"), "0.45000000");
  EXPECT_EQ(j.at("/reconcile/sample"), "true");
  EXPECT_EQ(j.at("/reconcile/lines/0/day"), "2026-05-11");
}

TEST_F(Command, FailsOnTheVerdictOnlyWhenAsked) {
  const std::string text = line(R"("step":"rerank")");
  EXPECT_EQ(raw(text).status, 0);
  EXPECT_EQ(raw(text, {"--fail-on", "confirmed"}).status, 1);
  EXPECT_EQ(raw(text, {"--fail-on", "suspect"}).status, 1);
  EXPECT_EQ(raw(line(R"("step":"generate")", "small"), {"--fail-on", "suspect"}).status, 0);
}

TEST_F(Command, BadUsageIsStatusTwoWithAMessage) {
  const auto refused = [&](std::vector<std::string> args, const std::string& part) {
    const test::Run r = audit(args);
    EXPECT_EQ(r.status, 2) << part;
    EXPECT_NE(r.err.find(part), std::string::npos) << r.err;
    EXPECT_TRUE(r.out.empty());
  };
  refused({}, "name the traces");
  refused({"/no/such/file"}, "does not exist");
  refused({dir_.write("empty.jsonl", "")}, "empty");
  refused({dir_.write("blank.jsonl", "\n\n  \n")}, "empty");
  refused({dir_.write("odd.json", R"({"hello":1})")}, "--format");
  refused({dir_.write("garbage.bin", std::string("\x00\x01\x02\xff\xfe\x00zzzz", 10))}, "binary");
  refused({dir_.write("text.txt", "just some words\nand more\n")}, "neither JSON nor CSV");
  refused({dir_.write("cut.gz", std::string("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03garbage", 17))}, "gzip");
  refused({dir_.write("cut.zst", std::string("\x28\xb5\x2f\xfd garbage", 12))}, "zstd");
  refused({dir_.write("ok.jsonl", line("")), "--prices", dir_.write("nounit.json", R"({"schema":"understudy.prices/1","models":[]})")}, "unit");
  refused({dir_.write("ok.jsonl", line("")), "--format", "excel"}, "excel");
  refused({dir_.write("ok.jsonl", line("")), "--format", "litellm"}, "no model calls");
  refused({dir_.write("ok.jsonl", line("")), "--from", "dir"}, "not both");
  refused({"--from", dir_.path() + "/nothing"}, "--from");
  refused({"--from", "clickhouse://localhost"}, "data directories");
  refused({"--from", "http://user:secret@localhost:1"}, "must not hold a user");
  refused({dir_.path() + "/*.nothing"}, "no file matches");
  refused({dir_.write("ok.jsonl", line("")), "--steps", dir_.write("steps.json", "[]")}, "steps file");
  refused({dir_.write("ok.jsonl", line("")), "--now", "tomorrow"}, "--now");
  EXPECT_EQ(audit({"--nonsense"}).status, 2);
  const test::Run help = audit({"--help"});
  EXPECT_EQ(help.status, 0);
  EXPECT_NE(help.out.find("Exit status"), std::string::npos);
}

TEST_F(Command, HostileRowsAreCountedNotFatal) {
  std::string deep(5000, '[');
  std::string text = line("") + "{\"model\":" + deep + "\n" + std::string("{\"model\":\"b\0g\"}", 15) + "\n" + line("", "big\\u0000x") +
                     "\xff\xfe{\n" + R"({"model":"big","tok_in":1e30,"tok_out":1})" + "\n" + R"({"model":"big","tok_in":9223372036854775807,"tok_out":1})" + "\n";
  const Json j = run(text);  // "big" is a prefix of "big\0x"
  EXPECT_EQ(j.at("/inputs/rows_malformed"), "5");
  EXPECT_EQ(j.at("/inputs/rows_accepted"), "2");
  const test::Run text_report = audit({dir_.path() + "/t.jsonl", "--prices", dir_.path() + "/p.json"});
  EXPECT_EQ(text_report.out.find('\0'), std::string::npos);
}

TEST_F(Command, ReadsDirectoriesGlobsAndCompressedFiles) {
  const std::string text = line("") + line("");
  uLongf size = compressBound(text.size()) + 64;
  std::string gz(size, '\0');
  z_stream z{};
  deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(gz.data());
  z.avail_out = static_cast<uInt>(gz.size());
  deflate(&z, Z_FINISH);
  gz.resize(z.total_out);
  deflateEnd(&z);
  std::string zst(ZSTD_compressBound(text.size()), '\0');
  zst.resize(ZSTD_compress(zst.data(), zst.size(), text.data(), text.size(), 3));
  dir_.write("d/a.jsonl", text);
  dir_.write("d/sub/b.jsonl.gz", gz + gz);
  dir_.write("d/c.bin", zst);
  dir_.write("d/.hidden", "junk");
  const std::string prices = dir_.write("p.json", kPrices);
  EXPECT_EQ(audit_json({dir_.path() + "/d", "--prices", prices}).at("/calls"), "8");
  EXPECT_EQ(audit_json({dir_.path() + "/d/*.jsonl", "--prices", prices}).at("/calls"), "2");
  EXPECT_EQ(audit_json({dir_.path() + "/d", dir_.path() + "/d/a.jsonl", "--prices", prices}).at("/inputs/files"), "4");
}

TEST_F(Command, ReadsTheGatewaysOwnLog) {
  const std::string path = dir_.path() + "/data";
  {
    auto opened = store::Store::open(path);
    ASSERT_TRUE(opened.has_value()) << opened.error().message;
    store::Journal& journal = (*opened)->journal(0);
    for (int i = 0; i < 3; ++i) {
      const std::string id = "req_" + std::to_string(i);
      store::AttemptEvent cheap;
      cheap.request_id = id;
      cheap.stage = Stage::kStudent;
      cheap.model = cheap.upstream_model = "small";
      cheap.provider = "openai";
      cheap.usage = Usage{.input = 1000, .output = 100};
      cheap.latency_us = 200'000;
      store::AttemptEvent dear = cheap;
      dear.attempt = 1;
      dear.stage = Stage::kTeacher;
      dear.model = dear.upstream_model = "big";
      store::AttemptEvent local = cheap;
      local.attempt = 2;
      local.provider = "";
      ASSERT_TRUE(journal.append(cheap));
      ASSERT_TRUE(journal.append(dear));
      ASSERT_TRUE(journal.append(local));
      store::RequestEvent done;
      done.request_id = id;
      done.session = "s";
      done.task = i == 2 ? "" : "route";
      ASSERT_TRUE(journal.append(done));
    }
  }
  const Json j = audit_json({"--from", path, "--prices", dir_.write("p.json", kPrices)});
  EXPECT_EQ(j.at("/inputs/format"), "gateway");
  EXPECT_EQ(j.at("/calls"), "6");
  EXPECT_EQ(j.at("/requests"), "1") << "one session";
  EXPECT_EQ(j.at("/total_picousd"), "13710000000");  // 3 * (4500 + 70) micro-USD
  EXPECT_EQ(j.step("route", "calls"), "4");
  EXPECT_EQ(j.step("(unattributed)", "calls"), "2");
  EXPECT_EQ(j.at("/retry_spend_picousd"), "0");
  EXPECT_EQ(j.at("/inputs/rows_not_calls"), "3");
}

TEST_F(Command, WritesThePageAndTheGuesses) {
  const test::Run r = raw(line(R"("step":"<script>alert(1)</script>")") + line(R"("step":"generate")"), {"--html", dir_.path() + "/r.html", "--write-steps", dir_.path() + "/s.json"});
  EXPECT_EQ(r.status, 0) << r.err;
  std::ifstream in(dir_.path() + "/r.html");
  const std::string html{std::istreambuf_iterator<char>(in), {}};
  EXPECT_NE(html.find("<svg"), std::string::npos);
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_EQ(html.find("http://"), std::string::npos);
  EXPECT_EQ(html.find("https://"), std::string::npos);
  EXPECT_EQ(raw(line(""), {"--html", "/no/such/dir/r.html"}).status, 2);
  EXPECT_EQ(raw(line(""), {"--steps", dir_.path() + "/s.json"}).status, 0) << "what is written can be passed back";
}

}  // namespace
}  // namespace understudy::audit
