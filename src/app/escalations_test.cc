/// The log of escalations: both answers, filters, and the export that goes on where it stopped.

#include <fstream>

#include "app/test_support.h"

namespace understudy::app {
namespace {

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
  for (int i = 0; i < kRequests; ++i) write_request(fmt::format("req_{:04}", i), true);
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

TEST_F(StoreCommands, AnEmptyStoreKnowsNoNames) {
  open_writer();
  const Outcome none = escalations({"--task", "anything"});
  EXPECT_EQ(none.status, 0) << none.err;
  EXPECT_EQ(none.out, "No such escalations.\n");
}

}  // namespace
}  // namespace understudy::app
