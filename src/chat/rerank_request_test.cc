#include "chat/rerank_request.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace understudy::chat {
namespace {

std::string refused(std::string_view body) {
  const auto read = parse_rerank_request(body);
  return read ? "taken" : read.error().param;
}

TEST(RerankRequest, CoheresAndJinasForms) {
  const auto cohere = parse_rerank_request(R"({"model":"rerank-v3.5","query":"q","documents":["a","",{"text":"c","id":7}],"top_n":2,"max_tokens_per_doc":4096,"priority":0,"relevant_spans":{"mode":"enabled"}})");
  ASSERT_TRUE(cohere) << cohere.error().message;
  EXPECT_EQ(cohere->model, "rerank-v3.5");
  EXPECT_EQ(cohere->documents, (std::vector<std::string>{"a", "", "c"}));
  EXPECT_EQ(cohere->objects, (std::vector<std::string>{"", "", R"({"text":"c","id":7})"}));
  EXPECT_EQ(cohere->most_results, 2u);
  EXPECT_TRUE(cohere->wants_spans);
  EXPECT_FALSE(cohere->return_documents || cohere->tei);
  const auto jina = parse_rerank_request(R"({"query":"q","documents":["a","b"],"top_n":5,"return_documents":true,"truncation":true})");
  ASSERT_TRUE(jina) << jina.error().message;
  EXPECT_EQ(jina->most_results, 2u) << "no more than there are";
  EXPECT_TRUE(jina->return_documents);
  const auto v1 = parse_rerank_request(R"({"query":"q","documents":[{"title":"t","body":"b","year":3}],"rank_fields":["body","title","none"],"top_n":null})");
  ASSERT_TRUE(v1) << v1.error().message;
  EXPECT_EQ(v1->documents[0], "b\nt");
}

TEST(RerankRequest, TheFormOfTei) {
  const auto tei = parse_rerank_request(R"({"query":"q","texts":["a","b"],"raw_scores":true,"return_text":true,"truncate":true,"truncation_direction":"Right"})");
  ASSERT_TRUE(tei) << tei.error().message;
  EXPECT_TRUE(tei->tei && tei->raw_scores && tei->return_documents && tei->truncate);
  EXPECT_EQ(tei->documents.size(), 2u);
  EXPECT_TRUE(is_tei_rerank(R"({"texts":[]})"));
  EXPECT_FALSE(is_tei_rerank(R"({"documents":[],"texts":[]})"));
  EXPECT_FALSE(is_tei_rerank("{\"texts\":"));
}

TEST(RerankRequest, WhatIsWrongIsNamed) {
  EXPECT_EQ(refused("[1]"), "");
  EXPECT_EQ(refused("{"), "");
  EXPECT_EQ(refused(R"({"documents":["a"]})"), "query");
  EXPECT_EQ(refused(R"({"query":"","documents":["a"]})"), "query");
  EXPECT_EQ(refused(R"({"query":7,"documents":["a"]})"), "query");
  EXPECT_EQ(refused(R"({"query":"q"})"), "documents");
  EXPECT_EQ(refused(R"({"query":"q","documents":[]})"), "documents");
  EXPECT_EQ(refused(R"({"query":"q","documents":"a"})"), "documents");
  EXPECT_EQ(refused(R"({"query":"q","documents":["a",3]})"), "documents");
  EXPECT_EQ(refused(R"({"query":"q","documents":[null]})"), "documents");
  EXPECT_EQ(refused(R"({"query":"q","documents":[{"body":"a"}]})"), "documents");
  EXPECT_EQ(refused(R"({"query":"q","texts":[{"text":"a"}]})"), "texts");
  EXPECT_EQ(refused(R"({"query":"q","texts":["a"],"documents":["a"]})"), "texts");
  for (const char* top_n : {"0", "-1", "1.5", "\"2\""}) EXPECT_EQ(refused(fmt::format(R"({{"query":"q","documents":["a"],"top_n":{}}})", top_n)), "top_n") << top_n;
  EXPECT_EQ(refused(R"({"query":"q","documents":["a"],"top_m":1})"), "top_m") << "a slip";
  EXPECT_EQ(refused(R"({"query":"q","documents":["a"],"something_of_theirs":1})"), "taken");
  EXPECT_EQ(refused(R"({"query":"q","documents":["a"],"return_documents":"yes"})"), "return_documents");
  EXPECT_EQ(refused(R"({"query":"q","documents":["a"],"rank_fields":[]})"), "rank_fields");
  EXPECT_EQ(refused(fmt::format(R"({{"query":"{}","documents":["a"]}})", std::string(kLongestQuery + 1, 'q'))), "query");
  const auto third = parse_rerank_request(R"({"query":"q","documents":["a","b",3]})");
  EXPECT_NE(third.error().message.find("Document 2"), std::string::npos) << third.error().message;
}

TEST(RerankRequest, LongDocumentsAreReadInPartAndNotWithinACharacter) {
  const auto request = parse_rerank_request(R"({"query":"q","documents":["abcdefghij","aaaéé"],"max_tokens_per_doc":1})");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->read_part(0, 100), "abcd");
  EXPECT_EQ(request->read_part(1, 100), "aaa");
  EXPECT_EQ(request->read_part(0, 2), "ab");
  const auto all = parse_rerank_request(R"({"query":"q","documents":["abcdefghij"]})");
  EXPECT_EQ(all->read_part(0, 100), "abcdefghij");
  EXPECT_EQ(all->read_part(0, 4), "abcd");
}

}  // namespace
}  // namespace understudy::chat
