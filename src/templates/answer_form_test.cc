#include "templates/answer_form.h"

#include <gtest/gtest.h>

namespace understudy::templates {
namespace {

const std::vector<double> kProbability{0.2, 0.1, 0.9, 0.5};
const std::vector<std::string> kIds{"1", "2", "3", "4"};

AnswerForm form(std::string render, std::string item = "[{n}]", std::string separator = " > ") {
  AnswerForm out;
  out.render = std::move(render);
  out.item = std::move(item);
  out.separator = std::move(separator);
  return out;
}

std::string written(const AnswerForm& f, const std::vector<std::string>& ids = kIds, bool json = false) {
  EXPECT_TRUE(check(f)) << check(f).error().message;
  return write_documents(f, {kProbability, ids}, json).value_or("none");
}

std::pair<std::string, std::string> refused(const AnswerForm& f) {
  const auto checked = check(f);
  return checked ? std::pair<std::string, std::string>() : std::pair(checked.error().param, checked.error().message);
}

TEST(AnswerForm, WritesRankings) {
  AnswerForm plain;
  EXPECT_EQ(written(plain), "[3] > [4] > [1] > [2]");
  plain.top = 2;
  EXPECT_EQ(written(plain), "[3] > [4]");
  plain.top = 9;
  EXPECT_EQ(written(plain), "[3] > [4] > [1] > [2]");
  EXPECT_EQ(written(form(R"({"ranking": [{ranking}]})", "{index}", ", ")), R"({"ranking": [2, 3, 0, 1]})");
  EXPECT_EQ(written(form("[{ranking}]", R"({"index": {n}, "score": {score}})", ", ")), R"([{"index": 3, "score": 0.90}, {"index": 4, "score": 0.50}, {"index": 1, "score": 0.20}, {"index": 2, "score": 0.10}])");
  EXPECT_EQ(written(form("[{ranking}]", R"("{id}")", ", "), {"a", "b", "c\"d", "e"}, true), R"(["c\"d", "e", "a", "b"])");
}

TEST(AnswerForm, EqualDocumentsKeepTheirOrder) {
  const std::vector<double> equal{0.5, 0.5, 0.5};
  EXPECT_EQ(write_documents({}, {equal, std::span(kIds).first(3)}, false), "[1] > [2] > [3]");
}

TEST(AnswerForm, WritesScores) {
  AnswerForm scores = form("[{scores}]", "{score}", ", ");
  EXPECT_EQ(written(scores), "[0.20, 0.10, 0.90, 0.50]");
  scores.digits = 0;
  scores.highest = 10;
  EXPECT_EQ(written(scores), "[2, 1, 9, 5]");
  EXPECT_EQ(written(form("{scores}", "{id}: {score}", "\n")), "1: 0.20\n2: 0.10\n3: 0.90\n4: 0.50");
}

TEST(AnswerForm, WritesVerdicts) {
  AnswerForm verdict = form("{verdict}");
  EXPECT_EQ(write_verdict(verdict, true, 0.9, false), "yes");
  verdict.verdicts = {"not supported", "supported"};
  verdict.render = R"({"verdict": "{verdict}", "score": {score}})";
  EXPECT_EQ(write_verdict(verdict, false, 0.125, true), R"({"verdict": "not supported", "score": 0.12})");
  verdict.render = "Score: {score}";
  verdict.lowest = 1;
  verdict.highest = 5;
  verdict.digits = 0;
  EXPECT_EQ(write_verdict(verdict, true, 0.8, false), "Score: 4");
  verdict.lowest = -1;
  verdict.highest = 1;
  verdict.digits = 1;
  EXPECT_EQ(write_verdict(verdict, true, 0.49, false), "Score: 0.0") << "no minus before a nought";
}

TEST(AnswerForm, WhatCouldNotBeReadAgainIsNotWritten) {
  EXPECT_FALSE(write_documents({}, {{}, {}}, false));
  for (const char* id : {"a > b", "a\nb", "a]"}) EXPECT_EQ(written({}, {"1", id, "3", "4"}), "none") << id;
  EXPECT_EQ(written(form("[{ranking}]", R"("{id}")", ", "), {"a, b", "c", "d", "e"}, true), R"(["d", "e", "a, b", "c"])") << "JSON quotes it";
}

TEST(AnswerForm, WrongFormsAreRefusedByTheirKey) {
  EXPECT_EQ(refused(form("the best")).first, "render");
  EXPECT_EQ(refused(form("{rank}")).first, "render");
  EXPECT_EQ(refused(form("{ranking} {scores}")).first, "render");
  EXPECT_EQ(refused(form("{ranking} {verdict}")).first, "render");
  EXPECT_EQ(refused(form("{ranking}", "-")).first, "item");
  EXPECT_EQ(refused(form("{ranking}", "{score}")).first, "item");
  EXPECT_EQ(refused(form("{ranking}", "{number}")).first, "item");
  EXPECT_EQ(refused(form("{scores}", "{n}")).first, "item");
  EXPECT_EQ(refused(form("{ranking}", "[{n}]", "")).first, "separator");
  AnswerForm same = form("{verdict}");
  same.verdicts = {"yes", "yes"};
  EXPECT_EQ(refused(same).first, "verdicts");
  AnswerForm flat = form("{score}");
  flat.lowest = flat.highest = 1;
  EXPECT_EQ(refused(flat).first, "score_range");
  EXPECT_NE(refused(form("{rank}")).second.find("has {rank}; what can be filled in is {ranking}"), std::string::npos);
}

TEST(AnswerForm, AnotherFormHasAnotherName) {
  const std::string plain = AnswerForm().text();
  AnswerForm other;
  other.top = 5;
  EXPECT_NE(other.text(), plain);
  other = {};
  other.verdicts[1] = "true";
  EXPECT_NE(other.text(), plain);
  other = {};
  other.separator = ", ";
  EXPECT_NE(other.text(), plain);
}

}  // namespace
}  // namespace understudy::templates
