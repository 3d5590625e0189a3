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
  const std::string command = std::string(UNDERSTUDY_PROGRAM) + " demo --fast --short --json --recordings " + recordings.string() + " 2>/dev/null";
  std::FILE* pipe = popen(command.c_str(), "r");
  std::string out;
  char buffer[4096];
  while (const std::size_t n = std::fread(buffer, 1, sizeof buffer, pipe)) out.append(buffer, n);
  EXPECT_EQ(pclose(pipe), 0);
  return out;
}

class DemoTest : public ::testing::Test {
 protected:
  DemoTest() : folder_(fs::temp_directory_path() / ("understudy-demo-test-" + std::to_string(::getpid()))) {
    fs::copy(fs::path(UNDERSTUDY_SOURCE_DIR) / "data" / "demo", folder_, fs::copy_options::recursive);
  }
  ~DemoTest() override { fs::remove_all(folder_); }

  struct Report {
    double cost = 0, teacher_only = 0, agreement = 0, first_teacher_share = 0, last_teacher_share = 0;
    std::int64_t student = 0, learned = 0, teacher = 0, requests = 0;
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
    if (root["total"]["agreement"].get_double().get(report.agreement)) report.agreement = 0;
    report.student = root["total"]["served_by"]["student"];
    report.teacher = root["total"]["served_by"]["teacher"];
    report.learned = std::int64_t(root["total"]["served_by"]["knn"]) + std::int64_t(root["total"]["served_by"]["specialist"]);
    for (simdjson::dom::element block : simdjson::dom::array(root["blocks"])) {
      report.last_teacher_share = block["teacher_share"];
      if (report.blocks++ == 0) report.first_teacher_share = report.last_teacher_share;
    }
    return report;
  }

  fs::path folder_;
};

TEST_F(DemoTest, ThePromiseIsProvenOnTheWayAndTheBillFalls) {
  const Report all = demo();
  EXPECT_EQ(all.requests, 3000);
  EXPECT_EQ(all.blocks, 3u);
  EXPECT_EQ(all.student + all.learned + all.teacher, 3000);
  EXPECT_GT(all.student + all.learned, 0) << "how many hangs on how soon fits come";
  EXPECT_GT(all.agreement, 0.92) << "alpha is .05; what was served is a sample";
  EXPECT_LT(all.last_teacher_share, all.first_teacher_share);
}

TEST_F(DemoTest, AStudentThatIsSureAndWrongIsNeverServed) {
  // Every answer edited by hand: the text is wrong, the recorded confidence is as it was.
  auto answers = read_lines(folder_ / "student.jsonl");
  for (std::string& line : answers) {
    const std::size_t at = line.find("intent\\\": \\\"");
    if (at != std::string::npos) line.insert(at + 12, "not_");
  }
  for (std::string& line : answers) {
    // The edited text no longer is what the recorded tokens say, so the logprobs go to one token that stands for all.
    const std::size_t from = line.find("\"tokens\":"), to = line.find(",\"finish_reason\"");
    if (from == std::string::npos || to == std::string::npos) continue;
    const std::string answer = line.substr(line.find("\"answer\":") + 9, line.find(",\"tokens\"") - line.find("\"answer\":") - 9);
    line.replace(from, to - from, "\"tokens\":[[" + answer + ",-0.001,[]]]");
  }
  write_lines(folder_ / "student.jsonl", answers);
  const Report all = demo();
  EXPECT_EQ(all.student, 0);
  EXPECT_EQ(all.teacher + all.learned, 3000);
}

}  // namespace
}  // namespace understudy::app
