#include "providers/recording.h"

#include <gtest/gtest.h>

#include "chat/stream.h"
#include "providers/recorded.h"

namespace understudy::providers {
namespace {

const std::string kHead = R"({"schema":"understudy.recording/1","model":"m"})"
                          "\n";

std::shared_ptr<const Recording> recording_of(const std::string& lines) {
  auto recording = Recording::parse(kHead + lines, "test");
  EXPECT_TRUE(recording) << recording.error().message;
  return recording ? *recording : nullptr;
}

std::string request_for(const std::string& text, const std::string& extra = "") {
  return R"({"model":"x","messages":[{"role":"system","content":"s"},{"role":"user","content":")" + text + "\"}]" + extra + "}";
}

TEST(Recording, AnswersWithLogprobsAndUsage) {
  const auto recording = recording_of(
      R"({"match":"q","answer":"ab","tokens":[["a",-0.5,[["z",-1.5]]],["b",-0.25]],"usage":{"prompt_tokens":7,"completion_tokens":2},"latency_ms":12})");
  const RecordedReply reply = answer_from(*recording, request_for("q", ",\"logprobs\":true,\"top_logprobs\":2"), "m", 1);
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.latency_ms, 12);
  chat::LogprobSeries series;
  const auto completion = chat::parse_completion(reply.body, &series);
  ASSERT_TRUE(completion);
  EXPECT_EQ(series.chosen, (std::vector<float>{-0.5F, -0.25F}));
  EXPECT_EQ(series.alternatives, (std::vector<float>{-0.5F, -1.5F, -0.25F}));
  EXPECT_EQ(completion->tokens->output, 2);
  EXPECT_EQ(answer_from(*recording, request_for("other"), "m", 1).status, 404);
  EXPECT_EQ(answer_from(*recording, "{", "m", 1).status, 400);
}

TEST(Recording, StreamsTokenByToken) {
  const auto recording = recording_of(R"({"match":"q","answer":"ab","tokens":[["a",-0.5],["b",-0.25]],"usage":{"prompt_tokens":7,"completion_tokens":2}})");
  const RecordedReply reply = answer_from(*recording, request_for("q", ",\"stream\":true,\"logprobs\":true"), "m", 1);
  ASSERT_EQ(reply.events.size(), 5u) << "role, two tokens, finish, [DONE]; usage was not asked for";
  chat::StreamAssembler assembler;
  for (std::size_t i = 0; i + 1 < reply.events.size(); ++i) {
    ASSERT_TRUE(assembler.add(std::string_view(reply.events[i]).substr(6), true));
  }
  EXPECT_EQ(assembler.answer().content, "ab");
  EXPECT_EQ(assembler.logprobs().chosen.size(), 2u);
}

TEST(Recording, AnEditedAnswerHasNoLogprobsAndOtherUsage) {
  const auto recording = recording_of(
      R"({"match":"q","answer":"a much longer answer","tokens":[["ab",-0.5]],"usage":{"prompt_tokens":7,"completion_tokens":1}})"
      "\n"
      R"({"match":"t","answer":"a much longer answer","bytes":2,"usage":{"prompt_tokens":7,"completion_tokens":1}})");
  EXPECT_TRUE(recording->find("q")->tokens.empty());
  EXPECT_GT(recording->find("q")->usage->output, 1);
  EXPECT_GT(recording->find("t")->usage->output, 1);
}

TEST(Recording, SaysWhereItIsWrong) {
  const auto message_of = [](const std::string& text) {
    const auto recording = Recording::parse(text, "file");
    EXPECT_FALSE(recording) << text;
    return recording ? std::string() : recording.error().message;
  };
  EXPECT_NE(message_of("").find("empty"), std::string::npos);
  EXPECT_NE(message_of("{\"match\":\"q\"}\n").find("file:1"), std::string::npos);
  EXPECT_NE(message_of(kHead + "{\"match\":\"q\"}\n").find("file:2"), std::string::npos);
  EXPECT_NE(message_of(kHead + "nonsense\n").find("file:2"), std::string::npos);
  EXPECT_NE(message_of(kHead + "{\"match\":\"q\",\"answer\":\"a\"}\n{\"match\":\"q\",\"answer\":\"b\"}\n").find("file:3"), std::string::npos);
  EXPECT_NE(message_of(kHead + "{\"match\":\"q\",\"answer\":\"a\",\"tokens\":[[1]]}\n").find("tokens"), std::string::npos);
}

}  // namespace
}  // namespace understudy::providers
