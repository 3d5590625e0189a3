/// The commands that read the store, on a store written by store::Store, beside its writer and after it.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <simdjson.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "app/escalations_export.h"
#include "app/explain_command.h"
#include "app/requests_command.h"
#include "app/status_command.h"
#include "app/store_command.h"
#include "calibration/features.h"
#include "store/store.h"

namespace understudy::app {
namespace {

namespace fs = std::filesystem;
using CommandFunction = int (*)(int, char**);

struct Outcome {
  int status = -1;
  std::string out, err;
};

Outcome run(CommandFunction command, const std::string& name, std::vector<std::string> words) {
  words.insert(words.begin(), name);
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Outcome outcome;
  outcome.status = command(static_cast<int>(words.size()), argv.data());
  outcome.out = testing::internal::GetCapturedStdout();
  outcome.err = testing::internal::GetCapturedStderr();
  return outcome;
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

/// Value at a JSON pointer, as JSON text; "" where it is missing or the text is not JSON.
std::string at(const std::string& json, std::string_view pointer) {
  simdjson::dom::parser parser;
  const auto found = parser.parse(json).at_pointer(pointer);
  return found.error() == simdjson::SUCCESS ? simdjson::minify(found.value_unsafe()) : "";
}

class StoreCommands : public testing::Test {
 protected:
  StoreCommands() {
    ::unsetenv("UNDERSTUDY_DATA");
    std::string name = (fs::temp_directory_path() / "understudy-cli-XXXXXX").string();
    dir_ = ::mkdtemp(name.data());
    data_ = (dir_ / "data").string();
  }
  ~StoreCommands() override {
    store_.reset();
    fs::remove_all(dir_);
  }

  /// Opens the store for writing; tests close it with close_writer().
  void open_writer() {
    store::StoreOptions options;
    options.segment_bytes = 1 << 16;
    auto opened = store::Store::open(data_, options);
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
  }
  void close_writer() { store_.reset(); }

  /// A request that the student served, or that went on to the teacher.
  void write_request(const std::string& id, bool escalated, const std::string& task = "intent") {
    store::Journal& journal = store_->journal(0);
    std::vector<float> features(calibration::kLogprobFeatureCount, -0.5f);
    store::AttemptEvent student;
    student.request_id = id;
    student.stage = Stage::kStudent;
    student.model = "qwen";
    student.provider = "ollama";
    student.status = 200;
    student.served = !escalated;
    student.usage = Usage{.input = 100, .output = 10};
    student.cost = Picousd{10'000'000};
    student.latency_us = 30'000;
    student.confidence = escalated ? 0.4 : 0.9;
    student.feature_schema = calibration::kLogprobSchema;
    student.features = features;
    student.rung = "small";
    student.answer = R"({"role":"assistant","content":"lost_card"})";
    ASSERT_TRUE(journal.append(student));
    if (escalated) {
      store::AttemptEvent teacher;
      teacher.request_id = id;
      teacher.attempt = 1;
      teacher.model = "gpt";
      teacher.provider = "openai";
      teacher.status = 200;
      teacher.served = true;
      teacher.usage = Usage{.input = 100, .output = 10};
      teacher.cost = Picousd{400'000'000};
      teacher.latency_us = 700'000;
      teacher.answer = R"({"role":"assistant","content":"card_arrival"})";
      ASSERT_TRUE(journal.append(teacher));
    }
    store::RequestEvent request;
    request.request_id = id;
    request.tenant = "acme";
    request.task = task;
    request.route = "/v1/chat/completions";
    request.requested_model = "understudy/auto";
    request.mode = "live";
    request.policy_version = "p1";
    request.served_by = escalated ? Stage::kTeacher : Stage::kStudent;
    request.served_model = escalated ? "gpt" : "qwen";
    request.confidence = escalated ? 0.4 : 0.9;
    request.threshold = 0.8;
    request.threshold_by_hand = true;
    request.escalated = escalated;
    request.reason = escalated ? "below_threshold" : "confident";
    request.complete = true;
    request.cost = Picousd{escalated ? 410'000'000 : 10'000'000};
    request.teacher_cost = Picousd{400'000'000};
    request.teacher_cost_estimated = !escalated;
    request.latency_us = escalated ? 731'000 : 31'000;
    request.overhead_us = 150;
    request.body = R"({"model":"understudy/auto","messages":[{"role":"user","content":"where is my card"}]})";
    ASSERT_TRUE(journal.append(request));
  }

  /// The student's answer to a request was compared with the teacher's.
  void label(const std::string& id, bool agrees) {
    store::LabelEvent event;
    event.request_id = id;
    event.source = "escalation";
    event.agrees = agrees;
    event.comparator = "exact";
    ASSERT_TRUE(store_->journal(0).append(event));
  }

  /// Three requests: two by the student, the last by the teacher.
  void write_three() {
    open_writer();
    write_request("req_a", false);
    write_request("req_b", false, "other");
    write_request("req_c", true);
  }

  Outcome status(std::vector<std::string> words = {}) {
    return with_data(run_status_command, "understudy status", std::move(words));
  }
  Outcome requests(std::vector<std::string> words = {}) {
    return with_data(run_requests_command, "understudy requests", std::move(words));
  }
  Outcome escalations(std::vector<std::string> words = {}) {
    return with_data(run_escalations_command, "understudy escalations", std::move(words));
  }
  Outcome exported(std::vector<std::string> words = {}) {
    return with_data(run_escalations_export_command, "understudy escalations export", std::move(words));
  }
  Outcome explain(std::vector<std::string> words = {}) {
    return with_data(run_explain_command, "understudy explain", std::move(words));
  }
  Outcome check(std::vector<std::string> words = {}) {
    return with_data(run_store_check_command, "understudy store check", std::move(words));
  }
  Outcome compact(std::vector<std::string> words = {}) {
    return with_data(run_store_compact_command, "understudy store compact", std::move(words));
  }

  Outcome with_data(CommandFunction command, const std::string& name, std::vector<std::string> words) {
    words.insert(words.end(), {"--data", data_});
    return run(command, name, std::move(words));
  }

  fs::path dir_;
  std::string data_;
  std::unique_ptr<store::Store> store_;
};

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

TEST_F(StoreCommands, AnEmptyStoreKnowsNoNames) {
  open_writer();
  const Outcome none = escalations({"--task", "anything"});
  EXPECT_EQ(none.status, 0) << none.err;
  EXPECT_EQ(none.out, "No such escalations.\n");
}

TEST_F(StoreCommands, EscalationsShowBothAnswers) {
  write_three();
  const Outcome text = escalations();
  EXPECT_EQ(text.status, 0) << text.err;
  EXPECT_TRUE(text.out.starts_with("req_c  ")) << text.out;
  EXPECT_TRUE(contains(text.out,
                       "  why      below_threshold: confidence 0.40 against 0.80 (by hand)\n  asked    where is my card\n"
                       "  student  lost_card\n  teacher  card_arrival\n"))
      << text.out;
  EXPECT_FALSE(contains(text.out, "req_a"));
  const Outcome json = escalations({"--json"});
  EXPECT_EQ(at(json.out, "/escalations/0/teacher/text"), "\"card_arrival\"") << json.out;
  EXPECT_EQ(at(json.out, "/escalations/1"), "");
}

TEST_F(StoreCommands, EscalationsFilterByWhatWasAskedAndByAgreement) {
  write_three();
  write_request("req_d", true);
  label("req_d", true);
  write_request("req_e", true);
  label("req_e", false);
  for (const bool running : {true, false}) {
    if (!running) close_writer();
    const auto ids = [&](std::vector<std::string> words) {
      words.push_back("--json");
      const Outcome o = escalations(std::move(words));
      EXPECT_EQ(o.status, 0) << o.err;
      std::string found;
      for (int i = 0; !at(o.out, fmt::format("/escalations/{}", i)).empty(); ++i) found += at(o.out, fmt::format("/escalations/{}/request_id", i));
      return found;
    };
    EXPECT_EQ(ids({"--agrees", "yes"}), "\"req_d\"");
    EXPECT_EQ(ids({"--agrees", "no"}), "\"req_e\"");
    EXPECT_EQ(ids({"--agrees", "no", "--task", "other"}), "");
    EXPECT_EQ(ids({"--stage", "student", "--limit", "1"}), "\"req_e\"");
    EXPECT_EQ(ids({"--stage", "specialist"}), "");
    EXPECT_EQ(ids({"--rung", "small"}), "\"req_e\"\"req_d\"\"req_c\"");
    EXPECT_TRUE(contains(escalations({"--rung", "smal"}).err, "did you mean \"small\"?")) << escalations({"--rung", "smal"}).err;
    // Pages with such a filter.
    const Outcome first = escalations({"--stage", "student", "--limit", "2", "--json"});
    std::string next = at(first.out, "/next");
    ASSERT_GT(next.size(), 2u) << first.out;
    EXPECT_EQ(ids({"--stage", "student", "--after", next.substr(1, next.size() - 2)}), "\"req_c\"");
  }
}

TEST_F(StoreCommands, EscalationsShowLatencyCostAndSignals) {
  write_three();
  label("req_c", false);
  const Outcome text = escalations();
  EXPECT_TRUE(contains(text.out, "  signals  min_logprob -0.5, ")) << text.out;
  EXPECT_TRUE(contains(text.out, "  same?    no\n  took     731 ms: student 30 ms, teacher 700 ms\n")) << text.out;
  const Outcome json = escalations({"--json"});
  EXPECT_EQ(at(json.out, "/escalations/0/student/features/min_logprob"), "-0.5") << json.out;
  EXPECT_EQ(at(json.out, "/escalations/0/student/latency_ms"), "30");
  EXPECT_EQ(at(json.out, "/escalations/0/teacher/cost_usd"), "\"0.0004\"");
  EXPECT_EQ(at(json.out, "/escalations/0/student_agrees"), "false");
  EXPECT_EQ(at(json.out, "/escalations/0/reason"), "\"below_threshold\"");
}

TEST_F(StoreCommands, EscalationsAreExportedWholeAndGoOnWhereARunStopped) {
  open_writer();
  constexpr int kRequests = 1203;  // more than two pages
  for (int i = 0; i < kRequests; ++i) {
    write_request(fmt::format("req_{:04}", i), true);
    if (i % 100 != 0) continue;
    ASSERT_TRUE(store_->flush());  // the small journal holds no more
  }
  write_request("req_cheap", false);
  close_writer();
  const std::string file = (dir_ / "log.jsonl").string();
  const Outcome whole = exported({"--out", file});
  EXPECT_EQ(whole.status, 0) << whole.err;
  EXPECT_EQ(whole.out, "");
  EXPECT_TRUE(contains(whole.err, "1,203 escalations written")) << whole.err;
  const auto lines_of = [](const std::string& path) {
    std::vector<std::string> lines;
    std::ifstream in(path);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
  };
  const std::vector<std::string> lines = lines_of(file);
  ASSERT_EQ(lines.size(), static_cast<std::size_t>(kRequests));
  for (int i = 0; i < kRequests; ++i) ASSERT_EQ(at(lines[static_cast<std::size_t>(i)], "/request_id"), fmt::format("\"req_{:04}\"", kRequests - 1 - i));
  EXPECT_EQ(at(lines[0], "/schema"), "\"understudy.escalation/1\"");
  EXPECT_EQ(at(lines[0], "/attempts/1/answer/text"), R"("{\"role\":\"assistant\",\"content\":\"card_arrival\"}")") << lines[0];
  EXPECT_EQ(at(lines[0], "/student/text"), "\"lost_card\"");

  const Outcome again = exported({"--out", file});
  EXPECT_EQ(again.status, 2);
  EXPECT_TRUE(contains(again.err, "--resume goes on behind its last line")) << again.err;
  EXPECT_EQ(lines_of(file), lines) << "an export is not overwritten";

  // A run that was killed in the middle of a line.
  const fs::path cut = dir_ / "cut.jsonl";
  std::size_t bytes = 0;
  for (int i = 0; i < 700; ++i) bytes += lines[static_cast<std::size_t>(i)].size() + 1;
  fs::copy_file(file, cut);
  fs::resize_file(cut, bytes + 50);
  const Outcome resumed = exported({"--out", cut.string(), "--resume"});
  EXPECT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_TRUE(contains(resumed.err, "503 escalations written")) << resumed.err;
  EXPECT_EQ(lines_of(cut.string()), lines);
  fs::resize_file(cut, 20);  // not one whole line
  EXPECT_EQ(exported({"--out", cut.string(), "--resume"}).status, 0);
  EXPECT_EQ(lines_of(cut.string()), lines);
  std::ofstream(cut) << "something else\n";
  EXPECT_TRUE(contains(exported({"--out", cut.string(), "--resume"}).err, "no line of an escalations export"));

  // To standard output, from a place on, filtered.
  const std::string after = at(lines[1200], "/after");
  const Outcome some = exported({"--out", "-", "--after", after.substr(1, after.size() - 2)});
  EXPECT_EQ(some.out, lines[1201] + "\n" + lines[1202] + "\n") << some.err;
  EXPECT_TRUE(contains(exported({"--out", "-", "--limit", "2"}).err, "2 escalations written; more: --after r")) << "paging by hand";
  EXPECT_EQ(exported({"--out", "-", "--limit", "2"}).out, lines[0] + "\n" + lines[1] + "\n");
  EXPECT_EQ(exported({"--out", "-", "--agrees", "no"}).out, "");
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
