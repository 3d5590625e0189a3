// The demo on a cut of its own data: it must count right, and editing one recorded answer must change the bill.

#include <gtest/gtest.h>
#include <simdjson.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace understudy::app {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> read_lines(const fs::path& path) {
  std::ifstream in(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

void write_lines(const fs::path& path, const std::vector<std::string>& lines) {
  std::ofstream out(path);
  for (const std::string& line : lines) out << line << '\n';
}

/// Runs `understudy demo --fast --json` and returns what it printed.
std::string run_demo(const fs::path& recordings) {
  const std::string command = std::string(UNDERSTUDY_PROGRAM) + " demo --fast --json --recordings " + recordings.string() + " 2>/dev/null";
  std::FILE* pipe = popen(command.c_str(), "r");
  std::string out;
  char buffer[4096];
  while (const std::size_t n = std::fread(buffer, 1, sizeof buffer, pipe)) out.append(buffer, n);
  EXPECT_EQ(pclose(pipe), 0);
  return out;
}

class DemoTest : public ::testing::Test {
 protected:
  static constexpr std::size_t kRequests = 150;

  DemoTest() : folder_(fs::temp_directory_path() / ("understudy-demo-test-" + std::to_string(::getpid()))) {
    fs::copy(fs::path(UNDERSTUDY_SOURCE_DIR) / "data" / "demo", folder_, fs::copy_options::recursive);
    auto requests = read_lines(folder_ / "requests.jsonl");
    requests.resize(kRequests);
    write_lines(folder_ / "requests.jsonl", requests);
  }
  ~DemoTest() override { fs::remove_all(folder_); }

  struct Report {
    double cost = 0, teacher_only = 0, agreement = 0;
    std::int64_t student = 0, teacher = 0, requests = 0;
    std::size_t blocks = 0;
  };
  Report demo() {
    const std::string json = run_demo(folder_);
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    Report report;
    EXPECT_EQ(parser.parse(json).get(root), simdjson::SUCCESS) << json;
    EXPECT_EQ(std::string_view(root["schema"]), "understudy.demo/1");
    report.requests = root["requests"];
    report.cost = root["total"]["cost_usd"];
    report.teacher_only = root["total"]["teacher_only_usd"];
    report.agreement = root["total"]["agreement"];
    report.student = root["total"]["served_by"]["student"];
    report.teacher = root["total"]["served_by"]["teacher"];
    report.blocks = simdjson::dom::array(root["blocks"]).size();
    return report;
  }

  fs::path folder_;
};

TEST_F(DemoTest, CountsAndAnEditedAnswerChangesTheBill) {
  const Report before = demo();
  EXPECT_EQ(before.requests, static_cast<std::int64_t>(kRequests));
  EXPECT_EQ(before.blocks, 1u) << "a remainder joins the last block";
  EXPECT_EQ(before.student + before.teacher, static_cast<std::int64_t>(kRequests));
  EXPECT_GT(before.student, 40);
  EXPECT_GT(before.teacher, 40);
  EXPECT_GT(before.agreement, 0.85);
  EXPECT_LT(before.cost, before.teacher_only);

  // The first answer that the student gives with certainty, edited by hand: it loses its logprobs, so the teacher is asked.
  simdjson::dom::parser parser;
  auto answers = read_lines(folder_ / "student.jsonl");
  const auto requests = read_lines(folder_ / "requests.jsonl");
  bool edited = false;
  for (const std::string& line : requests) {
    const std::string text(std::string_view(parser.parse(line)["text"]));
    for (std::size_t i = 1; i < answers.size() && !edited; ++i) {
      simdjson::dom::element row = parser.parse(answers[i]);
      if (std::string_view(row["match"]) != text) continue;
      bool certain = true;
      for (simdjson::dom::element token : simdjson::dom::array(row["tokens"])) certain = certain && double(token.at(1)) > -0.05;
      if (!certain) break;
      const std::size_t at = answers[i].find("intent\\\": \\\"");
      ASSERT_NE(at, std::string::npos);
      answers[i].insert(at + 12, "not_");
      edited = true;
    }
    if (edited) break;
  }
  ASSERT_TRUE(edited);
  write_lines(folder_ / "student.jsonl", answers);
  const Report after = demo();
  EXPECT_EQ(after.student, before.student - 1);
  EXPECT_EQ(after.teacher, before.teacher + 1);
  EXPECT_NE(after.cost, before.cost);
}

}  // namespace
}  // namespace understudy::app
