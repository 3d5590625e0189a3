#include "specialists/registry.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "specialists/small_specialist_test_util.h"

namespace understudy::specialists {
namespace {

namespace fs = std::filesystem;

class RegistryTest : public ::testing::Test {
 protected:
  RegistryTest() : folder_(fs::temp_directory_path() / ("understudy-registry-" + std::to_string(::getpid()))) { fs::create_directories(folder_ / "all"); }
  ~RegistryTest() override { fs::remove_all(folder_); }

  std::string refused(const SpecialistPlaces& places) {
    const auto registry = Registry::load(places);
    return registry ? "" : registry.error().message;
  }

  fs::path folder_;
};

TEST_F(RegistryTest, FindsVersionsSideBySideInADirectoryAndByName) {
  testing::write_small_specialist(folder_ / "all" / "intent-v2", "b_");
  testing::write_small_specialist(folder_ / "all" / "intent-v1");
  testing::write_small_specialist(folder_ / "elsewhere", "c_");
  fs::create_directories(folder_ / "all" / "notes");
  testing::write_small_specialist(folder_ / "all" / "intent-v3.part-17");   // a training that runs
  const auto registry = Registry::load({folder_ / "all", true, {{"other", folder_ / "elsewhere"}}});
  ASSERT_TRUE(registry) << registry.error().message;
  ASSERT_EQ((*registry)->all().size(), 3u);
  EXPECT_EQ((*registry)->all()[0]->name, "intent-v1");
  EXPECT_EQ((*registry)->all()[2]->name, "other");
  const auto found = (*registry)->find("intent-v2");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->kind, "intent");
  EXPECT_EQ(found->intent->predict("where is my card").label, "b_card");
  EXPECT_GT(found->bytes, 1'000u);
  EXPECT_NE(found->id(), (*registry)->find("intent-v1")->id());
  EXPECT_EQ((*registry)->find("intent-v4"), nullptr);
  EXPECT_NE((*registry)->hint("intent-v4").find("did you mean \"intent-v1\"?"), std::string::npos) << (*registry)->hint("intent-v4");
}

TEST_F(RegistryTest, NoDirectoryIsAnErrorOnlyWhereItWasNamed) {
  const auto none = Registry::load({folder_ / "absent", false, {}});
  ASSERT_TRUE(none);
  EXPECT_TRUE((*none)->all().empty());
  EXPECT_NE((*none)->hint("x").find("understudy train intent"), std::string::npos);
  EXPECT_NE(refused({folder_ / "absent", true, {}}).find("no directory"), std::string::npos);
}

TEST_F(RegistryTest, WhatIsBrokenIsRefusedByItsPlace) {
  testing::write_small_specialist(folder_ / "all" / "good");
  EXPECT_NE(refused({folder_ / "all", true, {{"gone", folder_ / "gone"}}}).find((folder_ / "gone").string()), std::string::npos);
  EXPECT_NE(refused({folder_ / "all", true, {{"good", folder_ / "all" / "good"}}}).find("two specialists 'good'"), std::string::npos);
  EXPECT_NE(refused({folder_ / "all", true, {{"a b", folder_ / "all" / "good"}}}).find("cannot be a specialist's name"), std::string::npos);
  testing::write_small_specialist(folder_ / "all" / "broken");
  std::ofstream(folder_ / "all" / "broken" / "linear.bin", std::ios::app) << "x";
  EXPECT_NE(refused({folder_ / "all", true, {}}).find((folder_ / "all" / "broken").string()), std::string::npos);
}

}  // namespace
}  // namespace understudy::specialists
