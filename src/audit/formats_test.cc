// Every format's fixture (tests/fixtures/audit/README.md says how each was made), and the same week in all of them.
#include <map>
#include <sstream>

#include "audit/audit_test_util.h"
#include "audit/figures.h"
#include "base/json_writer.h"

namespace understudy::audit {
namespace {

using test::audit_json;
using test::fixture;
using test::Json;

// 30 calls of 6 requests: rewrite 0.0003969, embed 0.00000288, rerank 0.185445, generate 0.0833814, faithfulness 0.0453618 USD
constexpr const char* kWeekTotal = "314587980000";

struct Week { const char* file; const char* format; const char* duplicates; const char* wrapping; };

class WeekInFormat : public ::testing::TestWithParam<Week> {};

TEST_P(WeekInFormat, GivesTheSameDollars) {
  const Json j = audit_json({fixture(GetParam().file)});
  EXPECT_EQ(j.at("/inputs/format"), GetParam().format);
  EXPECT_EQ(j.at("/inputs/rows_malformed"), "0") << j.at("/inputs/malformed_samples/0/why");
  EXPECT_EQ(j.at("/inputs/rows_duplicate"), GetParam().duplicates);
  EXPECT_EQ(j.at("/inputs/spans_wrapping"), GetParam().wrapping);
  EXPECT_EQ(j.at("/calls"), "30");
  EXPECT_EQ(j.at("/requests"), "6");
  EXPECT_EQ(j.at("/total_picousd"), kWeekTotal);
  const std::map<std::string, std::string> steps = {{"rewrite", "396900000"}, {"embed", "2880000"}, {"rerank", "185445000000"}, {"generate", "83381400000"}, {"faithfulness", "45361800000"}};
  for (const auto& [step, cost] : steps) {
    EXPECT_EQ(j.step(step, "cost_picousd"), cost) << step;
    EXPECT_EQ(j.step(step, "calls"), "6") << step;
  }
  EXPECT_EQ(j.at("/errors/billed"), std::string(GetParam().file).find("tensorzero") != std::string::npos || std::string(GetParam().file).find("langfuse_export") != std::string::npos ? "0" : "1");
  EXPECT_EQ(j.at("/signals/frontier_calls_per_request/value"), "2.00000000");
  EXPECT_EQ(j.at("/weekly/0/week"), "2026-W20");
}

INSTANTIATE_TEST_SUITE_P(Formats, WeekInFormat,
                         ::testing::Values(Week{"week_plain.jsonl", "plain-jsonl", "1", "0"}, Week{"week_plain.csv", "plain-csv", "1", "0"}, Week{"week_otlp.json", "otlp", "3", "6"},
                                           Week{"week_otel_sdk.jsonl", "otlp", "2", "6"}, Week{"week_openinference.jsonl", "openinference", "2", "6"},
                                           Week{"week_litellm_spend.jsonl", "litellm", "2", "0"}, Week{"week_litellm_payload.jsonl", "litellm", "2", "0"},
                                           Week{"week_langfuse_api.json", "langfuse", "0", "0"}, Week{"week_langfuse_export.jsonl", "langfuse", "3", "0"},
                                           Week{"week_helicone.jsonl", "helicone", "0", "0"}, Week{"week_tensorzero.jsonl", "tensorzero", "0", "0"},
                                           Week{"week_portkey.jsonl", "portkey", "0", "0"}),
                         [](const auto& tested) {
                           std::string name = tested.param.file;
                           for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
                           return name;
                         });

TEST(Formats, StepsSayWhereTheyCameFrom) {
  EXPECT_EQ(audit_json({fixture("week_otlp.json")}).step("rerank", "source/ancestor"), "6");
  EXPECT_EQ(audit_json({fixture("week_otlp.json")}).step("embed", "source/span_kind"), "6");
  EXPECT_EQ(audit_json({fixture("week_litellm_spend.jsonl")}).step("rerank", "source/explicit"), "6");
  EXPECT_EQ(audit_json({fixture("week_tensorzero.jsonl")}).step("rerank", "source/prompt_name"), "6");
  EXPECT_EQ(audit_json({fixture("week_langfuse_api.json")}).step("rerank", "source/ancestor"), "6");
  EXPECT_EQ(audit_json({fixture("week_langfuse_export.jsonl")}).step("rerank", "source/prompt_name"), "6");
}

TEST(Formats, SeveralFilesOfDifferentFormatsAddUp) {
  const Json j = audit_json({fixture("week_helicone.jsonl"), fixture("week_otlp.json")});
  EXPECT_EQ(j.at("/inputs/format"), "mixed");
  EXPECT_EQ(j.at("/total_picousd"), "629175960000");
}

TEST(Formats, BedrockCountsCachedTokensOutside) {
  const Json j = audit_json({fixture("week_bedrock.jsonl")});
  EXPECT_EQ(j.at("/calls"), "6");
  EXPECT_EQ(j.step("generate", "cached_in"), "12288");
  EXPECT_EQ(j.step("generate", "tok_in"), "25410");
}

TEST(Formats, BillingPagesFeedTestOne) {
  const Json openai = audit_json({fixture("openai_usage.json")});
  EXPECT_EQ(openai.at("/total_picousd"), "231206580000");  // the week without Anthropic's 0.0833814
  const Json anthropic = audit_json({fixture("anthropic_usage.json")});
  EXPECT_EQ(anthropic.at("/total_picousd"), "83381400000");
  EXPECT_EQ(audit_json({fixture("anthropic_cost.json")}).at("/total_picousd"), "1237891200000") << "the amount is in cents";
  EXPECT_EQ(audit_json({fixture("openai_costs.json")}).at("/models/0/model"), "gpt-4o-2024-08-06");
  const Json cur = audit_json({fixture("aws_cur.csv")});
  EXPECT_EQ(cur.at("/total_picousd"), "4500000000");
  EXPECT_EQ(cur.at("/inputs/rows_not_calls"), "1");
}

TEST(Formats, AForcedFormatIsNotDetected) {
  EXPECT_EQ(test::audit({fixture("week_otlp.json"), "--format", "openinference", "--json"}).status, 0) << "one container holds both conventions";
  EXPECT_EQ(test::audit({fixture("week_plain.jsonl"), "--format", "langfuse"}).status, 2);
}

TEST(Formats, AnAgentSpanAloneIsLeftOutAndSaid) {
  test::TempDir dir;
  const std::string span = R"({"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0a","spanId":"01","name":"invoke_agent x","startTimeUnixNano":"1778490000000000000",
   "attributes":[{"key":"gen_ai.operation.name","value":{"stringValue":"invoke_agent"}},{"key":"gen_ai.request.model","value":{"stringValue":"gpt-4o"}},
   {"key":"gen_ai.usage.input_tokens","value":{"intValue":"1000"}}]},{"traceId":"0b","spanId":"02","name":"chat","startTimeUnixNano":"1778490000000000000",
   "attributes":[{"key":"gen_ai.operation.name","value":{"stringValue":"chat"}},{"key":"gen_ai.request.model","value":{"stringValue":"gpt-4o"}},
   {"key":"gen_ai.usage.input_tokens","value":{"intValue":"100"}},{"key":"gen_ai.usage.output_tokens","value":{"intValue":"0"}}]}]}]}]})";
  const Json j = audit_json({dir.write("spans.json", span)});
  EXPECT_EQ(j.at("/total_picousd"), "250000000");
  EXPECT_NE(j.at("/missing").find("1000 tokens in"), std::string::npos) << j.at("/missing");
}

TEST(Inference, AttributesNineTenthsOfUnlabelledSpend) {
  Json truth([] {
    std::ifstream in(fixture("unlabelled_truth.json"));
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }());
  std::ifstream in(fixture("unlabelled_prices.json"));
  const std::string prices{std::istreambuf_iterator<char>(in), {}};
  auto book = PriceBook::parse(prices, "prices");
  ASSERT_TRUE(book.has_value());
  EngineOptions options;
  auto ledger = read_traces({fixture("unlabelled_litellm.jsonl.gz")}, *book, {}, options);
  ASSERT_TRUE(ledger.has_value()) << ledger.error().message;
  Int128 right = 0, total = 0;
  std::string wrong;
  for (const auto& [key, cell] : (*ledger)->total->cells()) {
    const std::string model = (*ledger)->models.info(key.model).raw;
    const std::string_view step = key.step == 0 ? std::string_view("(unattributed)") : (*ledger)->steps.name(key.step);
    total += cell.cost;
    if (truth.at("/" + model) == step) right += cell.cost;
    else wrong += model + " as " + std::string(step) + ": " + std::to_string(cell.calls) + "\n";
  }
  EXPECT_GE(Share({right, total}).value(), 0.9) << wrong;
  std::printf("attributed to the right step: %s of the spend; templates found: %zu\n%s", Share({right, total}).text().c_str(), (*ledger)->guesses.size(), wrong.c_str());
}

TEST(Inference, ACorrectionIsPassedBackIn) {
  test::TempDir dir;
  const std::string guesses = dir.path() + "/guesses.json";
  EXPECT_EQ(test::audit({fixture("unlabelled_litellm.jsonl.gz"), "--prices", fixture("unlabelled_prices.json"), "--write-steps", guesses}).status, 0);
  std::ifstream in(guesses);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  const std::size_t at = text.find("\"step\":\"rerank\"");
  ASSERT_NE(at, std::string::npos);
  text.replace(at, 15, "\"step\":\"my_step\"");
  const Json j = audit_json({fixture("unlabelled_litellm.jsonl.gz"), "--prices", fixture("unlabelled_prices.json"), "--steps", dir.write("fixed.json", text)});
  EXPECT_GT(std::stoi(j.step("my_step", "calls")), 20);
}

}  // namespace
}  // namespace understudy::audit
