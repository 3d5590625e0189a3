#include "templates/slots.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace understudy::templates {
namespace {

using Texts = std::vector<std::string>;

SlotTemplate made(std::string_view text, std::string_view document = "") {
  auto out = SlotTemplate::parse(text, document);
  EXPECT_TRUE(out) << out.error().message;
  return std::move(*out);
}

std::string refused(std::string_view text, std::string_view document = "") {
  const auto out = SlotTemplate::parse(text, document);
  return out ? "" : out.error().message;
}

constexpr std::string_view kRanking = "Query: {query}\n\nPassages:\n{documents}\n\nRank the passages.";

TEST(Slots, ReadsAQueryAndItsNumberedDocuments) {
  const auto slots = made(kRanking, "[{n}] {document}").match("Query: why is  the sky blue?\n\nPassages:\n[1] Light scatters.\nMore so if blue.\n[2] Grass is green.\n\n[3] \n\nRank the passages.\n");
  ASSERT_TRUE(slots);
  EXPECT_EQ(slots->query, "why is the sky blue?");
  EXPECT_EQ(slots->documents, (Texts{"Light scatters.\nMore so if blue.", "Grass is green.", ""})) << "a document may be empty";
  EXPECT_EQ(slots->ids, (Texts{"1", "2", "3"}));
}

TEST(Slots, ReadsDocumentsWithIdsOfTheirOwn) {
  const auto slots = made("{documents}\nWhich are about {query}?", R"(<doc id="{id}">{document}</doc>)").match("<doc id=\"a-7\">one</doc>\n<doc id=\"b 2\">\ntwo\n</doc>\nWhich are about it?");
  ASSERT_TRUE(slots);
  EXPECT_EQ(slots->ids, (Texts{"a-7", "b 2"}));
  EXPECT_EQ(slots->documents, (Texts{"one", "two"}));
}

TEST(Slots, ReadsClaimAndEvidence) {
  const SlotTemplate judge = made("Claim: {claim}\nEvidence: {evidence}\nIs the claim supported? Answer yes or no.");
  const auto slots = judge.match("Claim: It opened in 1889.\r\nEvidence:  The tower\topened in 1889.\r\n\r\nIs the claim supported?  Answer yes or no.");
  ASSERT_TRUE(slots);
  EXPECT_EQ(slots->claim, "It opened in 1889.");
  EXPECT_EQ(slots->evidence, "The tower opened in 1889.");
  EXPECT_TRUE(slots->documents.empty());
  EXPECT_FALSE(judge.match("Claim: It opened.\nEvidence: It did.\nIs the claim supported?")) << "other words at the end";
  EXPECT_FALSE(judge.match("Please. Claim: It opened.\nEvidence: It did.\nIs the claim supported? Answer yes or no."));
  EXPECT_FALSE(judge.match("Claim:\nEvidence: It did.\nIs the claim supported? Answer yes or no.")) << "no claim";
  EXPECT_FALSE(judge.match("Claim: It opened. Evidence: It did.\nIs the claim supported? Answer yes or no.")) << "the template has a line break there";
  EXPECT_FALSE(judge.match(""));
}

TEST(Slots, OneDocumentCanBeReadToo) {
  const auto slots = made("Is \"{document}\" about \"{query}\"?").match("Is \"grass\" about \"the sky\"?");
  ASSERT_TRUE(slots);
  EXPECT_EQ(slots->documents, Texts{"grass"});
  EXPECT_EQ(slots->query, "the sky");
}

TEST(Slots, WhatCanBeReadInTwoWaysIsNotRead) {
  const SlotTemplate judge = made("Claim: {claim}\nEvidence: {evidence}");
  EXPECT_FALSE(judge.match("Claim: a\nEvidence: b\nEvidence: c")) << "a claim could smuggle in evidence of its own";
  const SlotTemplate ranking = made(kRanking, "[{n}] {document}");
  const auto prompt = [](std::string_view passages) { return fmt::format("Query: q\n\nPassages:\n{}\n\nRank the passages.", passages); };
  EXPECT_TRUE(ranking.match(prompt("[1] a\n[2] b, see [1] and [7]")));
  EXPECT_FALSE(ranking.match(prompt("[1] a\n[2] quoted\n[2] b")));
  EXPECT_FALSE(ranking.match(prompt("[1] a\n[3] b")));
  EXPECT_FALSE(ranking.match(prompt("[2] a\n[1] b")));
  EXPECT_FALSE(ranking.match(prompt("[1] a\n[1] a footnote of it\n[2] b")));
  EXPECT_FALSE(ranking.match(prompt("Here they are:\n[1] a")));
  EXPECT_FALSE(ranking.match(prompt("")));
  EXPECT_TRUE(ranking.match(prompt("[0] a\n[1] b"))) << "numbers may begin at 0";
  EXPECT_EQ(ranking.match(prompt("[1] a\n\nRank the passages.\n[2] b"))->documents, (Texts{"a\nRank the passages.", "b"})) << "a prompt ends but once";
  EXPECT_FALSE(ranking.match("Query: q\nPassages:\n[1] a\nPassages:\n[1] b\nRank the passages.")) << "the query could end here or there";
}

TEST(Slots, TheSameSlotMustSayTheSame) {
  const SlotTemplate ranking = made("I give you {count} passages about {query}.\n{documents}\nSearch query: {query}.", "[{n}] {document}");
  EXPECT_TRUE(ranking.match("I give you 2 passages about x  y.\n[1] a\n[2] b\nSearch query: x y."));
  EXPECT_FALSE(ranking.match("I give you 2 passages about x.\n[1] a\n[2] b\nSearch query: y."));
  EXPECT_FALSE(ranking.match("I give you 3 passages about x.\n[1] a\n[2] b\nSearch query: x."));
}

TEST(Slots, AnythingMayStandInAny) {
  const SlotTemplate judge = made("Today is {any}.\nClaim: {claim}\nEvidence: {evidence}");
  EXPECT_TRUE(judge.match("Today is Monday.\nClaim: a\nEvidence: b"));
  EXPECT_FALSE(judge.match("Claim: a\nEvidence: b"));
}

TEST(Slots, ManyDocumentsAndLongOnesHaveABound) {
  std::string passages;
  for (std::size_t i = 1; i <= kMostDocuments; ++i) passages += fmt::format("[{}] text {}\n", i, i);
  const SlotTemplate ranking = made("{query}\nPassages:\n{documents}", "[{n}] {document}");
  const auto slots = ranking.match("q\nPassages:\n" + passages);
  ASSERT_TRUE(slots);
  EXPECT_EQ(slots->documents.size(), kMostDocuments);
  EXPECT_EQ(slots->documents.back(), fmt::format("text {}", kMostDocuments));
  EXPECT_FALSE(ranking.match("q\nPassages:\n" + passages + fmt::format("[{}] one more", kMostDocuments + 1)));
  EXPECT_FALSE(ranking.match("q\nPassages:\n[1] " + std::string(kLongestPrompt, 'x')));
}

TEST(Slots, WrongTemplatesAreRefused) {
  EXPECT_NE(refused("Rank the passages.").find("has no slot"), std::string::npos);
  EXPECT_NE(refused("").find("has no slot"), std::string::npos);
  EXPECT_NE(refused("{quary} {documents}").find("{quary}, which is no slot"), std::string::npos);
  EXPECT_NE(refused("{query}\n[{n}] {document}").find("{n} and {id} stand in `document`"), std::string::npos);
  EXPECT_NE(refused("{claim}{evidence}").find("nothing between {claim} and {evidence}"), std::string::npos);
  EXPECT_NE(refused("{claim} {evidence}").find("nothing between"), std::string::npos);
  EXPECT_NE(refused("{query}\n:{documents}").find("is missing"), std::string::npos);
  EXPECT_NE(refused("{query}\n:{documents}", "- {document}").find("must hold {n} or {id}"), std::string::npos);
  EXPECT_NE(refused("{query}\n:{documents}", "{n}{document}").find("nothing between"), std::string::npos);
  EXPECT_NE(refused("{query}\n:{documents}", "{id}: {document}").find("any line could be one"), std::string::npos);
  EXPECT_NE(refused("{query}\n:{document}", "[{n}] {document}").find("which `extract` does not have"), std::string::npos);
  EXPECT_EQ(SlotTemplate::parse("{query}\n:{documents}", "").error().param, "document");
  EXPECT_EQ(SlotTemplate::parse("{quary}", "").error().param, "extract");
  EXPECT_NE(refused("{documents} or {document}", "[{n}] {document}").find("several or one"), std::string::npos);
  EXPECT_NE(refused("{count} of {query}").find("no {documents} to count"), std::string::npos);
}

TEST(Slots, BracesThatAreNoSlotsAreText) {
  const auto slots = made("Answer as {\"score\": 1}.\nClaim: {claim}\nEvidence: {evidence}").match("Answer as {\"score\": 1}.\nClaim: a {b}\nEvidence: c");
  ASSERT_TRUE(slots);
  EXPECT_EQ(slots->claim, "a {b}");
}

}  // namespace
}  // namespace understudy::templates
