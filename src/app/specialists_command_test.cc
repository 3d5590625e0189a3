#include "app/specialists_command.h"

#include <fstream>

#include "app/test_support.h"
#include "specialists/small_pairs_test_util.h"
#include "specialists/small_specialist_test_util.h"

namespace understudy::app {
namespace {

class SpecialistsCommands : public ::testing::Test {
 protected:
  SpecialistsCommands() : folder_(fs::temp_directory_path() / ("understudy-specialists-" + std::to_string(::getpid()))) {
    specialists::testing::write_small_specialist(folder_ / "data" / "specialists" / "intent-v1");
    specialists::testing::write_small_specialist(folder_ / "data" / "specialists" / "intent-v2", "b_");
    std::ofstream(folder_ / "rows.jsonl") << specialists::testing::small_rows(10);
  }
  ~SpecialistsCommands() override { fs::remove_all(folder_); }

  Outcome ask(CommandFunction command, const std::string& name, std::vector<std::string> words, bool json = true) {
    words.insert(words.end(), {"--data", (folder_ / "data").string()});
    if (json) words.push_back("--json");
    return run(command, "understudy specialists " + name, std::move(words));
  }

  fs::path folder_;
};

TEST_F(SpecialistsCommands, ListAndShowSayWhatThereIs) {
  const Outcome list = ask(run_specialists_list_command, "list", {});
  ASSERT_EQ(list.status, 0) << list.err;
  EXPECT_EQ(at(list.out, "/specialists/0/name"), "\"intent-v1\"");
  EXPECT_EQ(at(list.out, "/specialists/1/labels"), "3");
  EXPECT_EQ(at(list.out, "/specialists/1/rows"), "60");
  const Outcome text = ask(run_specialists_list_command, "list", {}, false);
  EXPECT_TRUE(contains(text.out, "intent-v1") && contains(text.out, "ACCURACY")) << text.out;
  const Outcome show = ask(run_specialists_show_command, "show", {"intent-v2"});
  EXPECT_EQ(at(show.out, "/calibration/rows"), "60");
  EXPECT_EQ(at(show.out, "/label_names/0"), "\"b_card\"") << show.out;
  EXPECT_EQ(ask(run_specialists_show_command, "show", {(folder_ / "data" / "specialists" / "intent-v2").string()}).status, 0) << "a folder will do";
  EXPECT_TRUE(contains(ask(run_specialists_show_command, "show", {"intent-v2"}, false).out, "held back"));
}

TEST_F(SpecialistsCommands, JudgesOfAnswersAreListedByWhatTheyAreAsked) {
  using specialists::JudgeForm;
  specialists::testing::write_small_answer_judge(folder_ / "data" / "specialists" / "better", JudgeForm::kPreference);
  specialists::testing::write_small_answer_judge(folder_ / "data" / "specialists" / "grader", JudgeForm::kScore);
  const Outcome list = ask(run_specialists_list_command, "list", {});
  ASSERT_EQ(list.status, 0) << list.err;
  EXPECT_EQ(at(list.out, "/specialists/0/kind"), "\"judge\"");
  EXPECT_EQ(at(list.out, "/specialists/0/task"), "\"preference\"");
  EXPECT_EQ(at(list.out, "/specialists/0/ties"), "24");
  EXPECT_GT(std::stod(at(list.out, "/specialists/0/calibration/accuracy")), 0.8);
  EXPECT_EQ(at(list.out, "/specialists/1/task"), "\"score\"");
  EXPECT_GT(std::stod(at(list.out, "/specialists/1/calibration/spearman")), 0.8);
  EXPECT_NE(at(list.out, "/specialists/1/calibration/length_alone_spearman"), "");
  EXPECT_TRUE(contains(ask(run_specialists_list_command, "list", {}, false).out, "judge (score)"));
  EXPECT_EQ(at(ask(run_specialists_show_command, "show", {"grader"}).out, "/scale/highest"), "6");
  const Outcome shown = ask(run_specialists_show_command, "show", {"grader"}, false);
  EXPECT_TRUE(contains(shown.out, "judge (score)") && contains(shown.out, "Spearman")) << shown.out;
}

TEST_F(SpecialistsCommands, ABrokenOneIsListedWithWhatIsWrong) {
  std::ofstream(folder_ / "data" / "specialists" / "intent-v2" / "specialist.json") << "{}";
  const Outcome list = ask(run_specialists_list_command, "list", {});
  EXPECT_EQ(list.status, 0);
  EXPECT_TRUE(contains(at(list.out, "/specialists/1/error"), "specialist.json")) << list.out;
  const Outcome show = ask(run_specialists_show_command, "show", {"intent-v2"});
  EXPECT_EQ(show.status, 2);
}

TEST_F(SpecialistsCommands, CompareTellsThemApartOnTheSameRows) {
  const Outcome plain = ask(run_specialists_compare_command, "compare", {"intent-v1", "intent-v2"});
  EXPECT_EQ(at(plain.out, "/on_rows"), "null");
  const Outcome rows = ask(run_specialists_compare_command, "compare", {"intent-v1", "intent-v2", "--rows", (folder_ / "rows.jsonl").string()});
  ASSERT_EQ(rows.status, 0) << rows.err;
  EXPECT_EQ(at(rows.out, "/on_rows/rows"), "30");
  EXPECT_EQ(at(rows.out, "/on_rows/only_first_right"), "30");
  EXPECT_EQ(at(rows.out, "/on_rows/same"), "0");
  EXPECT_LT(std::stod(at(rows.out, "/on_rows/p_value")), 1e-6);
  const Outcome text = ask(run_specialists_compare_command, "compare", {"intent-v1", "intent-v2", "--rows", (folder_ / "rows.jsonl").string()}, false);
  EXPECT_TRUE(contains(text.out, "a real difference")) << text.out;
}

TEST_F(SpecialistsCommands, RemoveLeavesAloneWhatATaskIsBoundTo) {
  const fs::path config = folder_ / "c.toml";
  std::ofstream(config) << "[tasks.t]\nspecialist = \"intent-v1\"\n[specialists.far]\nfolder = \"" << (folder_ / "far").string() << "\"\n";
  const Outcome bound = ask(run_specialists_remove_command, "remove", {"intent-v1", "--config", config.string()});
  EXPECT_EQ(bound.status, 2);
  EXPECT_TRUE(contains(bound.err, "[tasks.t]")) << bound.err;
  EXPECT_TRUE(contains(ask(run_specialists_remove_command, "remove", {"far", "--config", config.string()}).err, "[specialists.far]"));
  EXPECT_TRUE(fs::exists(folder_ / "data" / "specialists" / "intent-v1"));
  EXPECT_EQ(at(ask(run_specialists_list_command, "list", {"--config", config.string()}).out, "/specialists/1/tasks/0"), "\"t\"");
  const Outcome gone = ask(run_specialists_remove_command, "remove", {"intent-v2", "--config", config.string()});
  EXPECT_EQ(gone.status, 0) << gone.err;
  EXPECT_FALSE(fs::exists(folder_ / "data" / "specialists" / "intent-v2"));
  const Outcome slip = ask(run_specialists_remove_command, "remove", {"intent-v3"});
  EXPECT_EQ(slip.status, 2);
  EXPECT_TRUE(contains(slip.err, "did you mean \"intent-v1\"?")) << slip.err;
}

}  // namespace
}  // namespace understudy::app
