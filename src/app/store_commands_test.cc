/// The commands that read the store, on a store written by store::Store, beside its writer and after it.

#include <algorithm>
#include <fstream>

#include "app/test_support.h"

namespace understudy::app {
namespace {

TEST_F(StoreCommands, StatusSumsBesideTheRunningWriter) {
  write_three();
  const Outcome o = status();
  EXPECT_EQ(o.status, 0) << o.err;
  EXPECT_TRUE(contains(o.out, "Requests               3                     3\n")) << o.out;
  EXPECT_TRUE(contains(o.out, "  student              2  66.7 %             2  66.7 %\n")) << o.out;
  EXPECT_TRUE(contains(o.out, "TASK")) << o.out;
  const Outcome json = status({"--json"});
  EXPECT_EQ(at(json.out, "/all/requests"), "3") << json.out;
  EXPECT_EQ(at(json.out, "/all/cost_usd"), "\"0.00043\"");
  EXPECT_EQ(at(json.out, "/all/teacher_cost_usd"), "\"0.0012\"");
  EXPECT_EQ(at(json.out, "/all/teacher_cost_estimated"), "2");
  EXPECT_EQ(at(json.out, "/all/saved_picousd"), "\"770000000\"");
  EXPECT_EQ(at(json.out, "/all/served_by/teacher"), "1");
  EXPECT_EQ(at(json.out, "/all/teacher_calls"), "1");
  close_writer();
  const Outcome after = status({"--json"});
  EXPECT_EQ(at(after.out, "/all"), at(json.out, "/all")) << "the same once all is in SQLite";
  EXPECT_EQ(at(after.out, "/store/journal_events"), "0");
}

TEST_F(StoreCommands, StatusOfOneTask) {
  write_three();
  const Outcome json = status({"--task", "intent", "--json"});
  EXPECT_EQ(json.status, 0) << json.err;
  EXPECT_EQ(at(json.out, "/task"), "\"intent\"");
  EXPECT_EQ(at(json.out, "/all/requests"), "2");
  EXPECT_TRUE(contains(status({"--task", "intent"}).out, "task intent\n"));
  const Outcome wrong = status({"--task", "intnet"});
  EXPECT_EQ(wrong.status, 2);
  EXPECT_TRUE(contains(wrong.err, "no request of a task \"intnet\" is recorded; did you mean \"intent\"?")) << wrong.err;
}

TEST_F(StoreCommands, StatusOfOneTaskHasItsCurve) {
  write_three();
  write_request("req_d", true);
  store::PromiseEvent event;
  event.task = "default/intent";
  event.kind = "refit";  // a kind of a later version
  event.version = "1.4";
  event.detail = R"({"message":"312 new rows"})";
  ASSERT_TRUE(store_->journal(0).append(event));
  store::AlarmEvent alarm;
  alarm.name = "input_shift";
  alarm.subject = "default/intent";
  alarm.message = "other requests";
  ASSERT_TRUE(store_->journal(0).append(alarm));
  for (const bool running : {true, false}) {
    if (!running) close_writer();
    const std::vector<std::string> halves{"--task", "intent", "--by", "requests", "--points", "2"};
    const auto with = [&](std::vector<std::string> more) {
      more.insert(more.end(), halves.begin(), halves.end());
      return status(more);
    };
    const Outcome text = with({});
    EXPECT_EQ(text.status, 0) << text.err;
    EXPECT_TRUE(contains(text.out, "\nCurve: 2 points of 2 requests each, ")) << text.out;
    EXPECT_TRUE(contains(text.out, "refit 1.4: 312 new rows\n")) << text.out;
    EXPECT_TRUE(contains(text.out, "alarm: input_shift: other requests\n")) << text.out;
    const Outcome both = with({"--json"});
    EXPECT_EQ(at(both.out, "/schema"), "\"understudy.status/1\"");
    EXPECT_EQ(at(both.out, "/all/requests"), "3");
    const Outcome json = with({"--curve", "--json"});
    EXPECT_EQ(at(json.out, "/schema"), "\"understudy.curve/1\"") << json.out << json.err;
    EXPECT_EQ(at(json.out, "/points/0/requests"), "2");
    EXPECT_EQ(at(json.out, "/points/0/teacher_calls"), "1");
    EXPECT_EQ(at(json.out, "/points/0/cost_usd"), "\"0.00042\"");
    EXPECT_EQ(at(json.out, "/points/1/teacher_share"), "1");
    EXPECT_EQ(at(json.out, "/events/0/kind"), "\"refit\"");
    EXPECT_EQ(at(both.out, "/curve"), at(json.out, ""));
    EXPECT_TRUE(with({"--curve"}).out.starts_with("Curve: 2 points"));
    EXPECT_TRUE(contains(status({"--task", "intent"}).out, "\nCurve: ")) << "by time";
    EXPECT_EQ(status({"--task", "intent", "--curve", "--since", "2999-01-01"}).out, "No requests in this period.\n");
    EXPECT_EQ(at(status({"--task", "intent", "--curve", "--since", "2999-01-01", "--json"}).out, "/points"), "[]");
    EXPECT_EQ(at(status({"--json"}).out, "/curve"), "null") << "of one task only";
  }
  EXPECT_TRUE(contains(status({"--task", "intnet", "--curve"}).err, "did you mean \"intent\"?"));
}

TEST_F(StoreCommands, StatusOfAnEmptyStoreSaysWhatToDo) {
  open_writer();
  const Outcome o = status();
  EXPECT_EQ(o.status, 0) << o.err;
  EXPECT_TRUE(contains(o.out, "Nothing is recorded in")) << o.out;
  EXPECT_EQ(at(status({"--json"}).out, "/all/requests"), "0");
}

TEST_F(StoreCommands, ShowTheirUsage) {
  const Outcome o = status({"--help"});
  EXPECT_EQ(o.status, 0);
  EXPECT_TRUE(contains(o.out, "Usage: understudy status [OPTIONS]\n")) << o.out;
  EXPECT_TRUE(contains(explain({"--help"}).out, "Usage: understudy explain [OPTIONS] REQUEST_ID\n")) << explain({"--help"}).out;
}

TEST_F(StoreCommands, TakeTheDirectoryFromTheEnvironment) {
  write_three();
  ::setenv("UNDERSTUDY_DATA", data_.c_str(), 1);
  const Outcome o = run(run_status_command, "understudy status", {"--json"});
  ::unsetenv("UNDERSTUDY_DATA");
  EXPECT_EQ(at(o.out, "/all/requests"), "3") << o.err;
}

TEST_F(StoreCommands, RequestsListsNewestFirstAndPages) {
  write_three();
  const Outcome first = requests({"--limit", "2", "--json"});
  EXPECT_EQ(first.status, 0) << first.err;
  EXPECT_EQ(at(first.out, "/requests/0/request_id"), "\"req_c\"") << first.out;
  EXPECT_EQ(at(first.out, "/requests/1/request_id"), "\"req_b\"");
  EXPECT_EQ(at(first.out, "/requests/2"), "");
  std::string next = at(first.out, "/next");
  ASSERT_GT(next.size(), 2u) << first.out;
  next = next.substr(1, next.size() - 2);
  const Outcome second = requests({"--limit", "2", "--json", "--cursor", next});
  EXPECT_EQ(at(second.out, "/requests/0/request_id"), "\"req_a\"") << second.out << second.err;
  EXPECT_EQ(at(second.out, "/requests/1"), "");
  EXPECT_EQ(at(second.out, "/next"), "null");
  const Outcome text = requests({"--limit", "2"});
  EXPECT_TRUE(contains(text.out, "req_c    intent  teacher  below_threshold  0.40  $0.00041  -$0.00001  731 ms\n")) << text.out;
  EXPECT_TRUE(contains(text.out, "More: understudy requests --data ")) << text.out;
}

TEST_F(StoreCommands, RequestsFilters) {
  write_three();
  const auto ids = [&](std::vector<std::string> words) {
    words.push_back("--json");
    const Outcome o = requests(std::move(words));
    EXPECT_EQ(o.status, 0) << o.err;
    std::string found;
    for (int i = 0; !at(o.out, fmt::format("/requests/{}", i)).empty(); ++i)
      found += at(o.out, fmt::format("/requests/{}/request_id", i));
    return found;
  };
  EXPECT_EQ(ids({"--task", "intent"}), "\"req_c\"\"req_a\"");
  EXPECT_EQ(ids({"--served-by", "student"}), "\"req_b\"\"req_a\"");
  EXPECT_EQ(ids({"--reason", "below_threshold"}), "\"req_c\"");
  EXPECT_EQ(ids({"--since", "1h"}), "\"req_c\"\"req_b\"\"req_a\"");
  EXPECT_EQ(ids({"--since", "2999-01-01"}), "");
  EXPECT_EQ(ids({"--until", "2999-01-01"}), "\"req_c\"\"req_b\"\"req_a\"");
  EXPECT_EQ(ids({"--until", "1h"}), "");
  EXPECT_EQ(ids({"--task", "other", "--reason", "below_threshold"}), "") << "both names are known, together there is none";
  // A name that was never recorded is a slip.
  for (const auto& [words, message] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"--task", "intnet"}, "nothing is recorded of a task \"intnet\"; did you mean \"intent\"? (tasks: intent, other)"},
           {{"--tenant", "acne"}, "nothing is recorded of a tenant \"acne\"; did you mean \"acme\"? (tenants: acme)"},
           {{"--reason", "below_treshold"}, "did you mean \"below_threshold\"? (reasons: below_threshold, confident)"}}) {
    const Outcome none = requests(words);
    EXPECT_EQ(none.status, 2) << message;
    EXPECT_EQ(none.out, "");
    EXPECT_TRUE(contains(none.err, message)) << none.err;
  }
}

TEST_F(StoreCommands, ExplainSaysWhyBesideTheWriterAndAfterIt) {
  write_three();
  for (const bool running : {true, false}) {
    if (!running) close_writer();
    const Outcome text = explain({"req_c"});
    EXPECT_EQ(text.status, 0) << text.err;
    EXPECT_TRUE(text.out.starts_with(
        "req_c\nThe student answered with confidence 0.40, below 0.80 (set by hand), so the teacher (gpt) was asked"))
        << text.out;
    EXPECT_TRUE(contains(text.out, "min_logprob")) << text.out;
    const Outcome json = explain({"req_c", "--json"});
    EXPECT_EQ(at(json.out, "/attempts/0/features/min_logprob"), "-0.5") << json.out;
    EXPECT_EQ(at(json.out, "/attempts/1/stage"), "\"teacher\"");
    EXPECT_EQ(at(json.out, "/cost_usd"), "\"0.00041\"");
    EXPECT_TRUE(contains(explain({"req_c", "--full"}).out, "    {\"model\":\"understudy/auto\""));
  }
}

TEST_F(StoreCommands, ExplainOfAnUnknownIdNamesTheNearest) {
  write_three();
  const Outcome o = explain({"req_d", "--json"});
  EXPECT_EQ(o.status, 2);
  EXPECT_TRUE(contains(o.err, "no request \"req_d\" is recorded in")) << o.err;
  EXPECT_TRUE(contains(o.err, "did you mean \"req_")) << o.err;
  EXPECT_TRUE(contains(o.err, "understudy requests --data")) << o.err;
  EXPECT_EQ(at(o.out, "/kind"), "\"not_found\"") << o.out;
}

TEST_F(StoreCommands, CheckFindsNoErrorAndThenDamage) {
  write_three();
  EXPECT_EQ(check().status, 0);
  close_writer();
  const Outcome good = check({"--json"});
  EXPECT_EQ(good.status, 0) << good.err;
  EXPECT_EQ(at(good.out, "/ok"), "true") << good.out;
  EXPECT_EQ(at(good.out, "/requests"), "3");
  // Overwrites the middle of SQLite's file: what its own check must see.
  const fs::path file = fs::path(data_) / "store.sqlite";
  const auto size = fs::file_size(file);
  std::fstream sqlite(file, std::ios::in | std::ios::out | std::ios::binary);
  sqlite.seekp(static_cast<std::streamoff>(4096));
  sqlite << std::string(size - 4096, '\x5a');
  sqlite.close();
  const Outcome bad = check({"--json"});
  EXPECT_NE(bad.status, 0) << bad.out;
  EXPECT_TRUE(bad.status == 2 || at(bad.out, "/ok") == "false") << bad.out << bad.err;
}

TEST_F(StoreCommands, CompactNeedsTheDirectoryForItself) {
  write_three();
  const Outcome refused = compact();
  EXPECT_EQ(refused.status, 2);
  EXPECT_TRUE(contains(refused.err, std::to_string(::getpid()))) << "names the writer's process: " << refused.err;
  close_writer();
  const Outcome done = compact({"--json"});
  EXPECT_EQ(done.status, 0) << done.err;
  EXPECT_EQ(at(done.out, "/schema"), "\"understudy.store_compact/1\"");
  EXPECT_EQ(at(explain({"req_c", "--json"}).out, "/request/truncated"), "false") << "texts stay";
}

/// Three wrong inputs each: what every command refuses, with the exit status of bad input and one clear line.
TEST_F(StoreCommands, RefuseWrongInput) {
  struct Case {
    CommandFunction command;
    std::string name;
    std::vector<std::string> words;
    std::string message;
  };
  open_writer();
  const std::vector<Case> cases{
      {run_status_command, "status", {"--jsn"}, "unknown flag \"--jsn\"; did you mean \"--json\"?"},
      {run_status_command, "status", {"extra"}, "unexpected argument \"extra\""},
      {run_status_command, "status", {"--json=maybe"}, "--json"},
      {run_status_command, "status", {"--curve"}, "--task"},
      {run_status_command, "status", {"--since", "1h"}, "--task"},
      {run_status_command, "status", {"--task", "x", "--curve", "--points", "1"}, "--points 1: a curve has 2 to 1,000"},
      {run_status_command, "status", {"--task", "x", "--curve", "--by", "request"}, "--by \"request\": it takes time or requests; did you mean \"requests\"?"},
      {run_status_command, "status", {"--task", "x", "--curve", "--since", "1h", "--until", "2h"}, "--until 2h is not after --since 1h"},
      {run_requests_command, "requests", {"--limit", "0"}, "--limit"},
      {run_requests_command, "requests", {"--since", "yesterday"}, "--since \"yesterday\" is neither an age"},
      {run_requests_command, "requests", {"--served-by", "teachr"}, "there is no stage \"teachr\"; did you mean \"teacher\"?"},
      {run_requests_command, "requests", {"--cursor", "nonsense"}, "nonsense"},
      {run_escalations_command, "escalations", {"--limit", "many"}, "--limit"},
      {run_escalations_command, "escalations", {"--since", "-1d"}, "--since"},
      {run_escalations_command, "escalations", {"--served-by", ""}, "there is no stage \"\""},
      {run_escalations_command, "escalations", {"--agrees", "maybe"}, "--agrees \"maybe\": it takes yes or no"},
      {run_escalations_command, "escalations", {"--until", "soon"}, "--until \"soon\" is neither an age"},
      {run_escalations_command, "escalations", {"--since", "1h", "--until", "2h"}, "--until 2h is not after --since 1h"},
      {run_escalations_command, "escalations", {"--stage", "studnet"}, "did you mean \"student\"?"},
      {run_requests_command, "requests", {"--agrees", "no"}, "unknown flag \"--agrees\""},
      {run_escalations_export_command, "escalations export", {}, "--out"},
      {run_escalations_export_command, "escalations export", {"--out", "-", "--resume"}, "--resume needs a file"},
      {run_escalations_export_command, "escalations export", {"--out", "/nowhere/x"}, "--out /nowhere/x: cannot be opened"},
      {run_explain_command, "explain", {}, "REQUEST_ID"},
      {run_explain_command, "explain", {"a b"}, "cannot be a request id"},
      {run_explain_command, "explain", {"req_1", "req_2"}, "unexpected argument \"req_2\""},
      {run_store_check_command, "store check", {"--fix"}, "unknown flag \"--fix\""},
      {run_store_check_command, "store check", {"now"}, "unexpected argument \"now\""},
      {run_store_compact_command, "store compact", {"--bodies", "old"}, "--bodies \"old\" is not an age"},
      {run_store_compact_command, "store compact", {"--bodie", "1d"}, "did you mean \"--bodies\"?"},
  };
  for (const Case& c : cases) {
    for (const bool json : {false, true}) {
      auto words = c.words;
      if (json) words.insert(words.begin(), "--json");
      const Outcome o = with_data(c.command, "understudy " + c.name, words);
      EXPECT_EQ(o.status, 2) << c.name << " " << c.message << "\n" << o.out;
      EXPECT_TRUE(o.err.starts_with("understudy " + c.name + ": ")) << o.err;
      EXPECT_TRUE(contains(o.err, c.message)) << c.name << ": " << o.err;
      EXPECT_EQ(std::count(o.err.begin(), o.err.end(), '\n'), 1) << o.err;
      EXPECT_EQ(at(o.out, "/schema"), json ? "\"understudy.error/1\"" : "") << o.out;
    }
  }
}

TEST_F(StoreCommands, RefuseADirectoryThatIsNoStore) {
  const std::vector<std::pair<CommandFunction, std::vector<std::string>>> commands{
      {run_status_command, {}},         {run_requests_command, {}},    {run_escalations_command, {}},
      {run_explain_command, {"req_1"}}, {run_store_check_command, {}}, {run_store_compact_command, {}}};
  for (const auto& [command, words] : commands) {
    const Outcome missing = with_data(command, "understudy x", words);
    EXPECT_EQ(missing.status, 2);
    EXPECT_TRUE(contains(missing.err, "there is no data directory " + data_)) << missing.err;
    EXPECT_TRUE(contains(missing.err, "understudy serve --student M --teacher M --data ")) << missing.err;
    EXPECT_FALSE(fs::exists(data_)) << "looking makes nothing";
  }
  // Asking a gateway needs no directory; port 9 of this machine is nobody's.
  const Outcome nobody = with_data(run_status_command, "understudy x", {"--url", "http://127.0.0.1:9"});
  EXPECT_EQ(nobody.status, 2);
  EXPECT_TRUE(contains(nobody.err, "--url http://127.0.0.1:9")) << nobody.err;
  EXPECT_TRUE(contains(with_data(run_status_command, "understudy x", {"--url", "ftp://x"}).err, "--url")) << "no address";
  std::ofstream(data_) << "a file";
  EXPECT_TRUE(contains(status().err, "is not a directory")) << status().err;
  fs::remove(data_);
  fs::create_directory(data_);
  for (const auto& [command, words] : commands) {
    const Outcome empty = with_data(command, "understudy x", words);
    EXPECT_EQ(empty.status, 2) << empty.out;
    EXPECT_TRUE(contains(empty.err, data_)) << empty.err;
    EXPECT_TRUE(fs::is_empty(data_)) << "looking makes nothing";
  }
}

}  // namespace
}  // namespace understudy::app
