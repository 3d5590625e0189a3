#include "chat/answer.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "chat/stream.h"

namespace understudy::chat {
namespace {

const char* const kPlain =
    R"({"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"small","choices":[{"index":0,"message":{"role":"assistant",)"
    R"("content":"Hi","refusal":null},"logprobs":{"content":[{"token":"H","logprob":-0.5,"bytes":[72],"top_logprobs":[{"token":"H","logprob":-0.5,"bytes":[72]},)"
    R"({"token":"Y","logprob":-2.25,"bytes":[89]}]},{"token":"i","logprob":-0.25,"bytes":[105],"top_logprobs":[]}],"refusal":null},"finish_reason":"stop"}],)"
    R"("usage":{"prompt_tokens":12,"completion_tokens":2,"total_tokens":14,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":1}},"system_fingerprint":"fp"})";

TEST(Answer, ACreationTimeBeyondIntegersIsLeftOut) {
  for (const char* created : {"1e300", "-1e300", "44444444444444444444444444444444444444441"}) {
    const auto answer = parse_answer(fmt::format(R"({{"created":{},"choices":[{{"message":{{"content":"x"}}}}]}})", created));
    ASSERT_TRUE(answer) << created;
    EXPECT_EQ(answer->created, 0) << created;
    StreamAssembler assembler;
    ASSERT_TRUE(assembler.add(fmt::format(R"({{"created":{},"choices":[{{"index":0,"delta":{{"content":"x"}}}}]}})", created), true));
    EXPECT_EQ(assembler.answer().created, 0) << created;
  }
}

TEST(Completion, GivesPlacesFiguresAndLogprobs) {
  LogprobSeries series;
  const auto completion = parse_completion(kPlain, &series);
  ASSERT_TRUE(completion) << completion.error().message;
  const std::string_view json = kPlain;
  EXPECT_EQ(completion->model.in(json), "\"small\"");
  EXPECT_TRUE(completion->logprobs.in(json).starts_with("{\"content\""));
  EXPECT_EQ(completion->finish_reason, "stop");
  ASSERT_TRUE(completion->tokens);
  EXPECT_EQ(completion->tokens->input, 12);
  EXPECT_EQ(completion->tokens->cached_input, 4);
  EXPECT_EQ(completion->tokens->output, 2);
  EXPECT_EQ(completion->tokens->reasoning, 1);
  ASSERT_TRUE(series.present);
  EXPECT_EQ(series.chosen, (std::vector<float>{-0.5F, -0.25F}));
  EXPECT_EQ(series.alternatives, (std::vector<float>{-0.5F, -2.25F}));
  EXPECT_EQ(series.per_token, (std::vector<std::uint16_t>{2, 0}));
}

std::string with_content(std::string_view content) {
  return R"({"choices":[{"message":{"content":"x"},"logprobs":{"content":)" + std::string(content) + R"(},"finish_reason":"stop"}]})";
}

TEST(Completion, FieldsThatNobodyReadDoNotChangeTheLogprobs) {
  const std::string_view usual[] = {
      R"([])",
      R"([{"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":[{"token":"a","logprob":-0.5,"bytes":[97]},{"token":"\"}]","logprob":-1e-3,"bytes":null}]}])",
      R"([{"logprob": -12.25, "token": "x", "top_logprobs": []}, {"token":"y\\","logprob":null,"top_logprobs":null}])",
      R"([{"token":"\u00e9\"","bytes":[195,169],"logprob":0,"top_logprobs":[{"logprob":-3.5E1}]}])",
  };
  for (const std::string_view content : usual) {
    std::string odd(content);
    for (std::size_t at = odd.find('{'); at != std::string::npos; at = odd.find('{', at + 14)) odd.insert(at + 1, R"("odd":{"a":1},)");
    LogprobSeries usual_series;
    LogprobSeries odd_series;
    const auto one = parse_completion(with_content(content), &usual_series);
    const auto other = parse_completion(with_content(odd), &odd_series);
    ASSERT_TRUE(one && other) << content;
    EXPECT_TRUE(usual_series.present && odd_series.present);
    EXPECT_EQ(usual_series.chosen, odd_series.chosen) << content;
    EXPECT_EQ(usual_series.alternatives, odd_series.alternatives) << content;
    EXPECT_EQ(usual_series.per_token, odd_series.per_token) << content;
  }
}

TEST(Completion, LogprobsThatAreNoneAreRefused) {
  for (const std::string_view content : {R"([{"token":"a"}])", R"([{"token":"a","logprob":-0.5])", R"([{"logprob":-0.5,}])", R"([3])", R"([{"logprob":-0.5}{"logprob":-0.5}])"}) {
    LogprobSeries series;
    EXPECT_FALSE(parse_completion(with_content(content), &series)) << content;
  }
}

TEST(Completion, NullLogprobsAreAbsent) {
  LogprobSeries series;
  const auto completion = parse_completion(R"({"choices":[{"message":{"content":"x"},"logprobs":null,"finish_reason":"stop"}]})", &series);
  ASSERT_TRUE(completion);
  EXPECT_FALSE(series.present);
  EXPECT_FALSE(completion->tokens);
  const auto answer = parse_answer(R"({"choices":[{"message":{"content":"x"},"logprobs":{"content":null},"finish_reason":"stop"}]})");
  ASSERT_TRUE(answer);
  EXPECT_FALSE(answer->has_logprobs);
}

TEST(Completion, RefusesWhatIsNone) {
  for (const char* json : {"", "{}", "[]", R"({"choices":[]})", R"({"choices":[{"finish_reason":"stop"}]})", R"({"choices":[{"message":{"content":"x"}}]} x)",
                           R"({"error":{"message":"no"}})", "<html>"}) {
    const auto completion = parse_completion(json, nullptr);
    ASSERT_FALSE(completion) << json;
    EXPECT_EQ(completion.error().kind, ErrorKind::kUpstreamProtocol);
  }
}

TEST(Usage, UnknownIsNotZero) {
  EXPECT_FALSE(parse_usage("{}"));
  EXPECT_FALSE(parse_usage("null"));
  EXPECT_FALSE(parse_usage(R"({"prompt_tokens":5})")) << "the other half would be priced at zero";
  EXPECT_FALSE(parse_usage(R"({"prompt_tokens":9223372036854775807,"completion_tokens":1e300})"));
  ASSERT_TRUE(parse_usage(R"({"completion_tokens":3,"prompt_tokens":5})"));
  EXPECT_EQ(parse_usage(R"({"completion_tokens":3,"prompt_tokens":5})")->output, 3);
}

TEST(Usage, UnderstudyIsSplicedIn) {
  EXPECT_EQ(usage_with_understudy(R"({"prompt_tokens":1 })", std::nullopt, "[1]"), R"({"prompt_tokens":1,"understudy":[1]})");
  EXPECT_EQ(usage_with_understudy("{}", std::nullopt, "[1]"), R"({"understudy":[1]})");
  EXPECT_EQ(usage_with_understudy("", std::nullopt, ""), "");
  EXPECT_EQ(usage_with_understudy("", Usage{.input = 3, .output = 2, .estimated = true}, ""),
            R"({"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"estimated":true})");
}

/// Feeds SSE text as `render_stream` writes it.
Result<Answer> assemble(std::string_view sse, bool keep_logprobs = true) {
  StreamAssembler assembler;
  bool done = false;
  while (!sse.empty()) {
    const std::size_t end = sse.find("\n\n");
    const std::string_view data = sse.substr(6, end - 6);
    if (data == "[DONE]") {
      done = true;
    } else if (auto chunk = assembler.add(data, keep_logprobs); !chunk) {
      return fail(std::move(chunk.error()));
    }
    sse.remove_prefix(end + 2);
  }
  EXPECT_TRUE(done);
  return assembler.take();
}

TEST(Stream, AssembledEqualsPlain) {
  SeededRandom random(20);
  for (int round = 0; round < 300; ++round) {
    Answer answer;
    answer.id = "id" + std::to_string(round);
    answer.created = 1'700'000'000 + round;
    answer.model = "m";
    if (random.coin(0.5)) answer.system_fingerprint = "fp";
    answer.finish_reason = random.coin(0.5) ? "stop" : "tool_calls";
    if (random.coin(0.8)) {
      answer.content.emplace("");
      for (std::uint64_t i = random.below(40); i > 0; --i) *answer.content += random.coin(0.2) ? "\"\n\xc3\xa9\\" : "ab ";
    }
    if (random.coin(0.2)) answer.refusal = "no";
    for (std::uint64_t i = random.below(3); i > 0; --i) answer.tool_calls.push_back({"call" + std::to_string(i), "function", "f", "{\"a\":\"\\\"\"}"});
    if (answer.content && !answer.content->empty() && random.coin(0.5)) {
      answer.has_logprobs = true;
      answer.logprobs_content = R"({"token":"a","logprob":-0.5,"bytes":null,"top_logprobs":[]})";
    }
    answer.usage_raw = R"({"prompt_tokens":3,"completion_tokens":4,"total_tokens":7})";
    answer.usage = parse_usage(answer.usage_raw);
    RenderOptions options;
    options.model = "m";
    options.logprobs = answer.has_logprobs;
    options.include_usage = true;
    const auto plain = parse_answer(render_completion(answer, options));
    ASSERT_TRUE(plain) << plain.error().message;
    const auto streamed = assemble(render_stream(answer, options));
    ASSERT_TRUE(streamed) << streamed.error().message;
    // An absent content and an empty one read alike in a stream: the role chunk always carries "".
    EXPECT_EQ(plain->content.value_or(""), streamed->content.value_or(""));
    EXPECT_EQ(plain->refusal, streamed->refusal);
    EXPECT_EQ(plain->tool_calls, streamed->tool_calls);
    EXPECT_EQ(plain->finish_reason, streamed->finish_reason);
    EXPECT_EQ(plain->usage, streamed->usage);
    EXPECT_EQ(plain->has_logprobs, streamed->has_logprobs);
    EXPECT_EQ(plain->logprobs_content, streamed->logprobs_content);
    EXPECT_EQ(plain->id, streamed->id);
    EXPECT_EQ(plain->created, streamed->created);
  }
}

TEST(Stream, ToolCallDeltasAreJoinedByIndex) {
  StreamAssembler assembler;
  for (const char* json :
       {R"({"id":"c","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":""}}]},"finish_reason":null}]})",
        R"({"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\""}}]}}]})",
        R"({"choices":[{"index":0,"delta":{"tool_calls":[{"function":{"arguments":":1}"},"index":0},{"index":1,"function":{"arguments":"{}"}}]}}]})",
        R"({"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]})", R"({"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}})"}) {
    ASSERT_TRUE(assembler.add(json, false)) << json;
  }
  EXPECT_EQ(assembler.answer().tool_calls, (std::vector<ToolCall>{{"a", "function", "f", "{\"x\":1}"}, {"b", "function", "g", "{}"}}));
  EXPECT_TRUE(assembler.finished());
  ASSERT_TRUE(assembler.answer().usage);
  EXPECT_EQ(assembler.answer().usage->output, 2);
}

TEST(Stream, LogprobsAccumulateOverChunks) {
  StreamAssembler assembler;
  for (const char* json : {R"({"choices":[{"delta":{"content":"a"},"logprobs":{"content":[{"token":"a","logprob":-1,"top_logprobs":[{"logprob":-1},{"logprob":-2}]}]}}]})",
                           R"({"choices":[{"delta":{"content":"b"},"logprobs":{"content":[{"token":"b","logprob":-3}]}}]})"}) {
    ASSERT_TRUE(assembler.add(json, true));
  }
  EXPECT_EQ(assembler.logprobs().chosen, (std::vector<float>{-1, -3}));
  EXPECT_EQ(*assembler.answer().content, "ab");
  EXPECT_TRUE(assembler.answer().has_logprobs);
}

TEST(Stream, InBandErrorsAndGarbageAreErrors) {
  StreamAssembler assembler;
  const auto error = assembler.add(R"({"error":{"message":"overloaded","type":"server_error"}})", false);
  ASSERT_FALSE(error);
  EXPECT_EQ(error.error().kind, ErrorKind::kUpstreamStatus);
  EXPECT_NE(error.error().message.find("overloaded"), std::string::npos);
  EXPECT_FALSE(assembler.add("not json", false));
  EXPECT_FALSE(assembler.add(R"({"choices":[{"delta":{"tool_calls":[{"index":100000}]}}]})", false));
}

TEST(EstimateTokens, IsNearForEnglish) {
  // 44 characters, 10 tokens by the cl100k tokenizer.
  EXPECT_NEAR(static_cast<double>(estimate_tokens("The quick brown fox jumps over the lazy dog.")), 10.0, 2.0);
  EXPECT_EQ(estimate_tokens(""), 0);
}

}  // namespace
}  // namespace understudy::chat
