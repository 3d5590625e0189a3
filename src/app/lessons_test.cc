/// `understudy lessons ...` on a store, beside its writer and after it.

#include <fstream>

#include "app/lessons_command.h"
#include "app/test_support.h"
#include "lessons/lesson.h"

namespace understudy::app {
namespace {

class LessonCommands : public StoreCommands {
 protected:
  void write_lesson(const std::string& id, const std::string& tenant, lessons::LessonState state, const std::string& text = "where is my card?") {
    lessons::Lesson l;
    l.id = id;
    l.request_id = "req_" + id;
    l.scope = {tenant, "default", "intent", 0xFEDCBA9876543210u};
    l.created = system_clock().wall();
    l.state = state;
    l.agreed_by_teacher = state != lessons::LessonState::kCandidate;
    l.text = text;
    l.messages = "[]";
    l.answer = "card_arrival";
    l.student_answer = "lost_card";
    l.reasoning = "it has not come";
    l.teaching = lessons::Teaching::kTaught;
    const std::string json = lessons::lesson_json(l);
    store::LessonEvent e;
    e.request_id = l.request_id;
    e.lesson_id = l.id;
    e.tenant = l.scope.tenant;
    e.cascade = "default";
    e.task = "intent";
    e.state = lessons::state_name(state);
    e.provenance = "escalation";
    e.created_us = l.created.us;
    e.detail = json;
    e.spent = Picousd{2'000'000'000};
    ASSERT_TRUE(store_->journal(0).append(e));
  }
  void write_all() {
    open_writer();
    write_lesson("les_1", "acme", lessons::LessonState::kActive);
    write_lesson("les_2", "evil", lessons::LessonState::kCandidate, "\x1b[31mred\n<script>");
    write_lesson("les_3", "acme", lessons::LessonState::kRetired);
  }
  Outcome list(std::vector<std::string> words = {}) { return run_on_store(run_lessons_list_command, "understudy lessons list", std::move(words)); }
  Outcome run_on_store(CommandFunction command, const std::string& name, std::vector<std::string> words) {
    words.insert(words.end(), {"--data", data_});
    return run(command, name, std::move(words));
  }
};

TEST_F(LessonCommands, ListFiltersAndPages) {
  write_all();
  for (const bool running : {true, false}) {
    if (!running) close_writer();
    const Outcome text = list();
    EXPECT_EQ(text.status, 0) << text.err;
    EXPECT_TRUE(contains(text.out, "les_1")) << text.out;
    EXPECT_TRUE(contains(text.out, "where is my card?"));
    EXPECT_EQ(text.out.find('\x1b'), std::string::npos) << "what users wrote cannot command a terminal";
    const Outcome json = list({"--json"});
    EXPECT_EQ(at(json.out, "/schema"), "\"understudy.lessons/1\"");
    EXPECT_EQ(at(json.out, "/lessons/0/id"), "\"les_3\"") << "newest first";
    EXPECT_EQ(at(json.out, "/lessons/2/answer"), "\"card_arrival\"");
    EXPECT_EQ(at(json.out, "/lessons/2/reasoning"), "") << "whole lessons are for show and export";
    EXPECT_EQ(at(json.out, "/next"), "null");
    const Outcome own = list({"--tenant", "evil", "--json"});
    EXPECT_EQ(at(own.out, "/lessons/0/id"), "\"les_2\"");
    EXPECT_EQ(at(own.out, "/lessons/1"), "");
    EXPECT_EQ(at(list({"--state", "retired", "--json"}).out, "/lessons/0/id"), "\"les_3\"");
    const Outcome page = list({"--limit", "1", "--json"});
    EXPECT_EQ(at(page.out, "/next"), "\"les_3\"");
    EXPECT_EQ(at(list({"--limit", "1", "--after", "les_3", "--json"}).out, "/lessons/0/id"), "\"les_2\"");
    EXPECT_EQ(at(list({"--since", "2999-01-01", "--json"}).out, "/lessons"), "[]");
  }
  const Outcome wrong = list({"--state", "alive"});
  EXPECT_EQ(wrong.status, 2);
  EXPECT_TRUE(contains(wrong.err, "candidate, active or retired")) << wrong.err;
}

TEST_F(LessonCommands, ShowHasAllOfOne) {
  write_all();
  const Outcome text = run_on_store(run_lessons_show_command, "understudy lessons show", {"les_1"});
  EXPECT_EQ(text.status, 0) << text.err;
  for (const char* part : {"les_1", "active", "where is my card?", "card_arrival", "lost_card", "it has not come", "tenant acme"}) {
    EXPECT_TRUE(contains(text.out, part)) << part << " in " << text.out;
  }
  const Outcome json = run_on_store(run_lessons_show_command, "understudy lessons show", {"les_1", "--json"});
  EXPECT_EQ(at(json.out, "/schema"), "\"understudy.lesson/1\"");
  EXPECT_EQ(at(json.out, "/teacher/reasoning"), "\"it has not come\"");
  EXPECT_EQ(at(json.out, "/ledger/injected"), "0");
  const Outcome none = run_on_store(run_lessons_show_command, "understudy lessons show", {"les_9"});
  EXPECT_EQ(none.status, 2);
  EXPECT_TRUE(contains(none.err, "there is no lesson les_9")) << none.err;
}

TEST_F(LessonCommands, RetireNeedsTheStoreOrAGateway) {
  write_all();
  const Outcome beside = run_on_store(run_lessons_retire_command, "understudy lessons retire", {"les_1"});
  EXPECT_NE(beside.status, 0);
  EXPECT_TRUE(contains(beside.err, "--url")) << beside.err;
  close_writer();
  const Outcome done = run_on_store(run_lessons_retire_command, "understudy lessons retire", {"les_1", "--json"});
  EXPECT_EQ(done.status, 0) << done.err;
  EXPECT_EQ(at(done.out, "/schema"), "\"understudy.retired/1\"");
  EXPECT_EQ(at(list({"--state", "active", "--json"}).out, "/lessons"), "[]");
  EXPECT_EQ(run_on_store(run_lessons_retire_command, "understudy lessons retire", {"les_9"}).status, 2);
}

TEST_F(LessonCommands, ExportWritesALineEach) {
  write_all();
  const fs::path file = dir_ / "lessons.jsonl";
  const Outcome o = run_on_store(run_lessons_export_command, "understudy lessons export", {"--tenant", "acme", "--out", file.string()});
  EXPECT_EQ(o.status, 0) << o.err;
  EXPECT_TRUE(contains(o.out, "2 lessons written to")) << o.out;
  std::ifstream in(file);
  int lines = 0;
  for (std::string line; std::getline(in, line); ++lines) {
    EXPECT_EQ(at(line, "/schema"), "\"understudy.lesson/1\"");
    EXPECT_EQ(at(line, "/tenant"), "\"acme\"");
    EXPECT_TRUE(lessons::parse_lesson(line)) << "what is exported can be read again";
  }
  EXPECT_EQ(lines, 2);
}

TEST_F(LessonCommands, StatusCountsThemAndTheirMoney) {
  write_all();
  write_request("req_a", false);
  const Outcome json = status({"--json"});
  EXPECT_EQ(at(json.out, "/lessons/active"), "1") << json.out;
  EXPECT_EQ(at(json.out, "/lessons/candidate"), "1");
  EXPECT_EQ(at(json.out, "/lessons/spent_today_usd"), "\"0.006\"");
  EXPECT_EQ(at(json.out, "/lessons/live"), "null");
  EXPECT_TRUE(contains(status().out, "Lessons: 1 in use, 1 not agreed to by the teacher, 1 retired; $0.006 spent on them today")) << status().out;
}

}  // namespace
}  // namespace understudy::app
