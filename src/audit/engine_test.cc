// Parts below the command: chunking, the fast reader against the slow one, id sets, times, waterfall.
#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "audit/audit_test_util.h"
#include "audit/csv.h"
#include "audit/fields.h"
#include "audit/fuzz/plain_oracle.h"
#include "audit/id_set.h"
#include "audit/input.h"
#include "audit/ledger.h"
#include "audit/report.h"
#include "audit/steps.h"
#include "audit/waterfall.h"
#include "base/time_format.h"

namespace understudy::audit {
namespace {

std::vector<std::string> documents(const std::string& text, Layout layout, std::size_t chunk_bytes, std::size_t longest = 1 << 20, std::uint32_t* oversized = nullptr) {
  Chunker chunker(memory_source(text), {chunk_bytes, longest});
  chunker.set_layout(layout);
  std::vector<std::string> out;
  Chunk chunk;
  for (;;) {
    auto any = chunker.next(chunk);
    EXPECT_TRUE(any.has_value()) << (any ? "" : any.error().message);
    if (!any || !*any) break;
    if (oversized != nullptr) *oversized += chunk.oversized;
    if (layout == Layout::kLines) {
      std::istringstream lines{std::string(chunk.text())};
      for (std::string l; std::getline(lines, l);) out.push_back(l);
    } else {
      for (const auto& [at, size] : chunk.documents) out.emplace_back(chunk.text().substr(at, size));
    }
  }
  return out;
}

TEST(Chunker, CutsTheSameRecordsAtEveryChunkSize) {
  const std::string lines = "{\"a\":1}\n{\"bb\":\"x\\\"}\"}\n\n{\"c\":[1,2]}";
  const std::string values = " [ {\"a\": 1},\n {\"b\": \"]}\\\"\"} , {\"c\":\n[1,{\"d\":2}]} ]\n";
  const std::string csv = "h1,h2\n1,\"two\nlines\"\n\"3 \"\"q\"\"\",4\r\n5,6";
  for (std::size_t size = 1; size < 70; ++size) {
    EXPECT_EQ(documents(lines, Layout::kLines, size), (std::vector<std::string>{"{\"a\":1}", "{\"bb\":\"x\\\"}\"}", "", "{\"c\":[1,2]}"})) << size;
    EXPECT_EQ(documents(values, Layout::kValues, size), (std::vector<std::string>{"{\"a\": 1}", "{\"b\": \"]}\\\"\"}", "{\"c\":\n[1,{\"d\":2}]}"})) << size;
    EXPECT_EQ(documents(csv, Layout::kCsv, size), (std::vector<std::string>{"1,\"two\nlines\"", "\"3 \"\"q\"\"\",4", "5,6"})) << size;
  }
}

TEST(Chunker, SkipsALineOverTheLimitAndGoesOn) {
  std::uint32_t oversized = 0;
  const std::string text = "{\"a\":1}\n" + std::string(5000, 'x') + "\n{\"b\":2}\n";
  EXPECT_EQ(documents(text, Layout::kLines, 64, 1000, &oversized), (std::vector<std::string>{"{\"a\":1}", "{\"b\":2}"}));
  EXPECT_EQ(oversized, 1u);
}

TEST(Csv, SplitsQuotedCells) {
  EXPECT_EQ(split_csv("a,\"b,\"\"c\"\"\",,d"), (std::vector<std::string>{"a", "b,\"c\"", "", "d"}));
  EXPECT_FALSE(split_csv("\"open").has_value());
  EXPECT_FALSE(split_csv("\"a\"b").has_value());
}

TEST(PlainFast, AgreesWithTheSlowReaderOnEveryLineItTakes) {
  std::mt19937 random(7);
  const auto pick = [&](std::vector<std::string> from) { return random() % 4 != 0 ? from[0] : from[random() % from.size()]; };  // mostly the usual
  int taken = 0, lines = 0;
  CallRecord record;  // one for all lines, as the worker has it
  for (int i = 0; i < 20000; ++i) {
    std::vector<std::string> fields = {
        "\"ts\":" + pick({"\"2026-05-11T00:00:01Z\"", "\"2026-05-11T23:59:59.123Z\"", "\"2026-13-11T00:00:01Z\"", "\"2026-05-11T24:00:01Z\"", "1778457601", "\"2026-05-11\"", "\"2026-05-11T00:00:01+02:00\"", "null"}),
        "\"model\":" + pick({"\"gpt-4o\"", "\"a\\u0062c\"", "\"\"", "3", "\"m\303\251\""}),
        "\"tok_in\":" + pick({"1000", "0", "007", "-1", "1.5", "12e2", "\"900\"", "1000000000000", "1000000000001", "99999999999999999999"}),
        "\"tok_out\":" + pick({"100", "7", "null"})};
    for (const auto& [key, values] : std::vector<std::pair<std::string, std::vector<std::string>>>{
             {"request_id", {"\"r1\"", "\"request-with-a-long-id-0123456789\"", "5"}}, {"call_id", {"\"c\""}}, {"attempt", {"0", "2", "-2"}},
             {"step", {"\"rerank\"", "\"\"", "null"}}, {"cached_in", {"10", "5000"}}, {"cache_write", {"3", "{\"5m\":1}"}}, {"reasoning", {"5", "200"}},
             {"status", {"200", "500", "\"ok\"", "\"error\"", "true"}}, {"latency_ms", {"12", "12.5"}}, {"service_tier", {"\"batch\""}},
             {"cost_usd", {"0.005", "1e-3", "\"0.1\"", "-1", "123456.123456789012"}}, {"provider", {"\"openai\""}}, {"unknown", {"1", "{}"}}, {"request_ib", {"\"x\""}}}) {
      if (random() % 4 == 0) fields.push_back("\"" + key + "\":" + pick(values));
    }
    std::shuffle(fields.begin(), fields.end(), random);
    std::string line = "{";
    for (std::size_t f = 0; f < fields.size(); ++f) line += (f == 0 ? "" : pick({",", ", ", " , "})) + fields[f];
    line += pick({"}", "} ", "}\r", "", "}x"});
    ++lines;
    const PlainVerdict verdict = compare_plain_readers(line, record);
    ASSERT_EQ(verdict.disagreement, "") << line;
    taken += verdict.taken;
  }
  EXPECT_GT(taken, 1000) << "of " << lines;
}

TEST(PlainFast, LeavesBrokenLinesToTheSlowReader) {
  CallRecord record;
  for (const char* line : {R"({"tok_in":1,"tok_out":2,"model":"x})", R"({"model":"a","tok_in":1:"b":2,"tok_out":3})", R"({"model":"a""b","tok_in":1,"tok_out":3})",
                           R"({"model":"a","tok_in":1,"tok_out":3}})", R"({"model":"a","tok_in":1,"tok_out":3,})", R"({"model":"a","tok_in": 1,"tok_out":3})",
                           R"({"model":"a","tok_in":1,"tok_out":3,"tok_in":4})", R"({x"model":"a","tok_in":1,"tok_out":3})", R"({})", R"({"model":"a","tok_in":1,"tok_out":3)",
                           R"({"model":"a","tok_in":1,"tok_out":3,"request_ix":"r","service_tiex":"s"})",
                           R"({"model":"a","tok_in":1,"tok_out":3,"cost_used":0.5})"}) {
    EXPECT_EQ(compare_plain_readers(line, record).disagreement, "") << line;
  }
  EXPECT_FALSE(compare_plain_readers(R"({"tok_in":1,"tok_out":2,"model":"x})", record).taken) << "a text that is not closed";
  EXPECT_TRUE(compare_plain_readers(R"({"model": "a", "tok_in": 1, "tok_out": 3, "step": "rerank"})", record).taken) << "as most encoders write it";
  EXPECT_TRUE(compare_plain_readers(R"({"model":"a","tok_in":1,"tok_out":3,"a longer name than any":"x"})", record).taken);
  EXPECT_EQ(record.step, "") << "nothing of an earlier line is left";
}

TEST(IdSet, CountsDistinctIdsInAtMostSixteenBytesEach) {
  IdSet set([](std::uint8_t a, std::uint8_t b) { return static_cast<std::uint8_t>(a + b); });
  {
    IdBatch batch(set);
    std::mt19937_64 random(1);
    for (int round = 0; round < 2; ++round) {
      random.seed(1);
      for (int i = 0; i < 300'000; ++i) batch.insert(random(), 1);
    }
    batch.insert(0, 1);  // the hash whose key is 0
  }
  EXPECT_EQ(set.size(), 300'001u);
  EXPECT_LE(set.bytes(), 16u * set.size());
  std::uint64_t total = 0;
  set.for_each_bits([&](std::uint8_t b) { total += b; });
  EXPECT_EQ(total, 600'001u);
  EXPECT_EQ(set.find(0), 1);
  EXPECT_EQ(set.find(12345), -1);
}

TEST(Times, AreReadInEveryUsualForm) {
  const std::int64_t us = parse_rfc3339("2026-05-11T08:30:00Z")->us;
  for (const char* t : {"2026-05-11T08:30:00Z", "2026-05-11 08:30:00", "2026-05-11 08:30:00+00", "2026-05-11T10:30:00+02:00", "2026-05-11 08:30:00 UTC", "1778488200",
                        "1778488200000", "1778488200000000", "1778488200000000000"}) {
    const auto read = read_time_text(t);
    ASSERT_TRUE(read.has_value()) << t;
    EXPECT_EQ(read->us, us) << t;
  }
  for (const char* t : {"", "yesterday", "12", "1999-12-31T00:00:00Z", "2026-02-30", "99999999999999999999999"}) EXPECT_FALSE(read_time_text(t).has_value()) << t;
}

TEST(IsoWeek, FollowsTheThursday) {
  const auto week = [](const char* day) { return iso_week(static_cast<std::int32_t>(parse_rfc3339(day)->us / 86'400'000'000)); };
  EXPECT_EQ(week("2026-05-11"), "2026-W20");
  EXPECT_EQ(week("2025-12-29"), "2026-W01");
  EXPECT_EQ(week("2027-01-03"), "2026-W53");
  EXPECT_EQ(week("2024-12-30"), "2025-W01");
}

TEST(Waterfall, SerialDepthIsTheLongestChainWithoutOverlap) {
  EXPECT_EQ(serial_depth({}), 0u);
  EXPECT_EQ(serial_depth({{0, 100}, {100'000, 50}, {150'000, 10}}), 3u);
  EXPECT_EQ(serial_depth({{0, 100}, {50'000, 100}, {20'000, 20}}), 2u);  // 20-40 ms, then 50-150
}

TEST(Waterfall, SampleDoesNotDependOnHowRowsAreSplit) {
  Waterfall one, a, b;
  std::mt19937_64 random(3);
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t request = random();
    one.add(request, {i, 1});
    (i % 3 == 0 ? a : b).add(request, {i, 1});
  }
  a.merge(b);
  a.settle();
  one.settle();
  ASSERT_EQ(one.requests().size(), Waterfall::kMostRequests);
  for (const auto& [hash, calls] : one.requests()) EXPECT_TRUE(a.requests().contains(hash));
}

TEST(Steps, NamesThatSayNothingAreNotSteps) {
  for (const char* n : {"chat", "POST /v1/chat/completions", "chat gpt-4o", "ThreadPoolExecutor-0_1", "main", "run", "invoke", "User-Agent: x", "ChatOpenAI", "LangGraph", "42"}) {
    EXPECT_TRUE(is_generic_name(n)) << n;
  }
  for (const char* n : {"rerank_docs", "billing_agent", "condense_question", "llm_rerank", "überprüfung"}) EXPECT_FALSE(is_generic_name(n)) << n;
  EXPECT_EQ(without_operation("invoke_agent billing"), "billing");
  EXPECT_EQ(step_of_operation("embeddings"), "embed");
  EXPECT_FALSE(step_of_operation("chat").has_value());
}

TEST(Steps, KindsComeFromWords) {
  EXPECT_EQ(step_kind("generate"), StepKind::kOpen);
  EXPECT_EQ(step_kind("answer_question"), StepKind::kOpen);
  EXPECT_EQ(step_kind("AnswerQuestion"), StepKind::kOpen);
  EXPECT_EQ(step_kind("intent-classification"), StepKind::kClosed);
  EXPECT_EQ(step_kind("frobnicate"), StepKind::kUnknown);
  EXPECT_EQ(step_kind("chat_eval"), StepKind::kUnknown);
}

TEST(Bands, EdgesBelongToSuspect) {
  EXPECT_EQ(band_of({39, 100}, 40, 70, true), Band::kHealthy);
  EXPECT_EQ(band_of({40, 100}, 40, 70, true), Band::kSuspect);
  EXPECT_EQ(band_of({70, 100}, 40, 70, true), Band::kSuspect);
  EXPECT_EQ(band_of({7001, 10000}, 40, 70, true), Band::kConfirmed);
  EXPECT_EQ(band_of({71, 100}, 40, 70, false), Band::kHealthy);
  EXPECT_EQ(band_of({39, 100}, 40, 70, false), Band::kConfirmed);
  EXPECT_EQ(band_of({0, 0}, 40, 70, false), Band::kUnknown);
}

}  // namespace
}  // namespace understudy::audit
