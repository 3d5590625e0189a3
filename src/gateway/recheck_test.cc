// Which recorded requests a recheck draws from.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "cascade/bound_specialist.h"
#include "gateway/internal/recheck_plan.h"
#include "specialists/registry.h"
#include "specialists/small_pairs_test_util.h"
#include "specialists/small_specialist_test_util.h"
#include "store/store.h"

namespace understudy::gateway::internal {
namespace {

namespace fs = std::filesystem;

class RecheckSource : public ::testing::Test {
 protected:
  RecheckSource() : folder_(fs::temp_directory_path() / ("recheck-source-" + std::to_string(::getpid()))) {
    fs::remove_all(folder_);
    specialists::testing::write_small_specialist(folder_ / "all" / "intent-v1");
    specialists::testing::write_small_reranker(folder_ / "all" / "rerank-v1");
    auto registry = specialists::Registry::load({folder_ / "all", true, {}});
    EXPECT_TRUE(registry) << registry.error().message;
    auto policy = std::make_shared<cascade::Policy>();
    policy->specialists = *registry;
    policy->prices = std::make_shared<PriceBook>();
    cascade::PricedModel teacher;
    teacher.config.name = "teacher";
    teacher.config.upstream_model = "big";
    policy->models.push_back(teacher);
    auto intent = cascade::bind_specialist((*registry)->find("intent-v1"), "{label}");
    EXPECT_TRUE(intent);
    auto extract = templates::SlotTemplate::parse("Query: {query}\nPassages:\n{documents}\nRank them.", "[{n}] {document}");
    EXPECT_TRUE(extract) << extract.error().message;
    std::optional<calibration::ComparatorSpec> compare;
    templates::AnswerForm form;
    form.render = "{ranking}";
    auto rerank = cascade::bind_reader((*registry)->find("rerank-v1"), std::move(*extract), form, compare);
    EXPECT_TRUE(rerank) << rerank.error().message;
    for (const auto& [name, bound] : {std::pair{"tickets", *intent}, {"search", *rerank}, {"other", std::shared_ptr<const cascade::BoundSpecialist>()}}) {
      cascade::TaskConfig task;
      task.name = name;
      task.bound = bound;
      policy->tasks.push_back(std::move(task));
    }
    snapshot_.policy = policy;
    for (const char* name : {"intent-v1", "rerank-v1"}) {
      RecheckConfig config;
      config.specialist = name;
      config.every_ms = 1'000;
      snapshot_.rechecks.push_back(config);
    }
    store::StoreOptions options;
    options.clock = &clock_;
    auto store = store::Store::open(folder_ / "data", options);
    EXPECT_TRUE(store) << store.error().message;
    store_ = std::move(*store);
  }
  ~RecheckSource() override {
    store_.reset();
    fs::remove_all(folder_);
  }

  void record(const std::string& id, const std::string& task, const std::string& text, const std::string& more = "", int status = 200) {
    const std::string body = text.empty() ? "" : fmt::format(R"({{"model":"m","messages":[{{"role":"system","content":"be brief"}},{{"role":"user","content":"{}"}}]{}}})", text, more);
    store::RequestEvent event;
    event.request_id = id;
    event.task = task;
    event.status = status;
    event.body = body;
    ASSERT_TRUE(store_->journal(0).append(event));
  }
  monitors::RecentRequests recent(std::size_t plan, std::size_t most, std::uint64_t seed) {
    const auto source = stored_requests(folder_ / "data", [this] { return snapshot_.policy; }, clock_);
    auto found = source(recheck_plans(snapshot_).at(plan), {clock_.wall().us - 3'600'000'000}, {clock_.wall().us + 1}, most, seed);
    EXPECT_TRUE(found) << found.error().message;
    return std::move(*found);
  }
  static std::string ids(const monitors::RecentRequests& of) {
    std::string out;
    for (const auto& request : of.requests) out += request.id + " ";
    return out;
  }

  fs::path folder_;
  ManualClock clock_;
  Snapshot snapshot_;
  std::unique_ptr<store::Store> store_;
};

TEST_F(RecheckSource, EachRecheckIsAboutTheTasksThatAreBound) {
  const auto plans = recheck_plans(snapshot_);
  ASSERT_EQ(plans.size(), 2u);
  EXPECT_EQ(plans[0].specialist->name, "intent-v1");
  EXPECT_EQ(plans[0].tasks, std::vector<std::string>{"tickets"});
  EXPECT_EQ(plans[0].teacher.upstream_model, "big");
  EXPECT_EQ(plans[1].tasks, std::vector<std::string>{"search"});
}

TEST_F(RecheckSource, WhatTheSpecialistReadsIsDrawnAndTheSameAgainForTheSameSeed) {
  for (int i = 0; i < 60; ++i) record(fmt::format("r{}", i), "tickets", fmt::format("where is my card {}", i));
  const auto some = recent(0, 20, 1);
  EXPECT_EQ(some.seen, 60u);
  ASSERT_EQ(some.requests.size(), 20u);
  EXPECT_EQ(some.requests[0].rows.size(), 1u);
  EXPECT_TRUE(some.requests[0].rows[0].texts[0].starts_with("where is my card ")) << some.requests[0].rows[0].texts[0];
  EXPECT_EQ(ids(recent(0, 20, 1)), ids(some));
  EXPECT_NE(ids(recent(0, 20, 2)), ids(some));
  EXPECT_EQ(recent(0, 100, 1).requests.size(), 60u);
  ASSERT_TRUE(store_->flush());
  EXPECT_EQ(ids(recent(0, 20, 1)), ids(some)) << "from SQLite as from the journal";
}

TEST_F(RecheckSource, WhatItDoesNotReadOrWhoseTextIsGoneIsLeftOut) {
  record("good", "tickets", "where is my card");
  record("other", "other", "where is my card");
  record("failed", "tickets", "where is my card", "", 502);
  record("gone", "tickets", "");
  record("tools", "tickets", "where is my card", R"(,"tools":[{"type":"function","function":{"name":"f"}}])");
  record("json", "tickets", "where is my card", R"(,"response_format":{"type":"json_object"})");
  clock_.advance_ms(2'000);
  const auto found = recent(0, 100, 1);
  EXPECT_EQ(ids(found), "good ");
  EXPECT_EQ(found.seen, 5u);
  const auto source = stored_requests(folder_ / "data", [this] { return snapshot_.policy; }, clock_);
  const auto later = source(recheck_plans(snapshot_)[0], {clock_.wall().us - 1'000'000}, clock_.wall(), 100, 1);
  ASSERT_TRUE(later);
  EXPECT_EQ(later->seen, 0u) << "before the period";
}

TEST_F(RecheckSource, ARerankersRequestHasARowForEachDocument) {
  record("a", "search", "Query: who made it\\nPassages:\\n[1] Somebody did.\\n[2] Nobody did.\\nRank them.");
  record("b", "search", "Who made it?");
  const auto found = recent(1, 100, 1);
  ASSERT_EQ(ids(found), "a ");
  ASSERT_EQ(found.requests[0].rows.size(), 2u);
  EXPECT_EQ(found.requests[0].rows[1].texts, (std::vector<std::string>{"who made it", "Nobody did."}));
}

TEST_F(RecheckSource, AStoreThatCannotBeReadIsAnError) {
  const auto source = stored_requests(folder_ / "nowhere", [this] { return snapshot_.policy; }, clock_);
  const auto found = source(recheck_plans(snapshot_)[0], {}, clock_.wall(), 100, 1);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().kind, ErrorKind::kIo) << "not as where nothing came";
}

}  // namespace
}  // namespace understudy::gateway::internal
