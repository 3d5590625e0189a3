#include "app/command.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/nearest.h"

namespace understudy::app {
namespace {

using testing::internal::CaptureStderr;
using testing::internal::CaptureStdout;
using testing::internal::GetCapturedStderr;
using testing::internal::GetCapturedStdout;

std::vector<std::string> g_seen;

int remember(int argc, char** argv) {
  g_seen.assign(argv, argv + argc);
  return 7;
}
int throws(int, char**) { throw std::runtime_error("the sky fell"); }

constexpr Command kTable[] = {{"status", "Look", "Sums", remember},        {"requests", "Look", "Lists", remember},
                              {"store check", "Keep", "Verify", remember}, {"store compact", "Keep", "Shrink", remember},
                              {"boom", "Keep", "Throws", throws},          {"version", "Keep", "Version", remember}};

struct Outcome {
  int status = -1;
  std::string out, err;
};

Outcome run(std::vector<std::string> words) {
  words.insert(words.begin(), "/usr/bin/understudy");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  g_seen.clear();
  Outcome outcome;
  CaptureStdout();
  CaptureStderr();
  outcome.status = run_program(kTable, static_cast<int>(words.size()), argv.data());
  outcome.out = GetCapturedStdout();
  outcome.err = GetCapturedStderr();
  return outcome;
}

TEST(RunProgram, HandsTheRestToTheCommandUnderItsName) {
  EXPECT_EQ(run({"status", "--json", "x"}).status, 7);
  EXPECT_EQ(g_seen, (std::vector<std::string>{"understudy status", "--json", "x"}));
  EXPECT_EQ(run({"store", "check", "--data", "d"}).status, 7);
  EXPECT_EQ(g_seen, (std::vector<std::string>{"understudy store check", "--data", "d"}));
}

TEST(RunProgram, ListsAllCommandsByGroup) {
  for (const auto& words : {std::vector<std::string>{}, {"--help"}, {"-h"}, {"help"}}) {
    const Outcome o = run(words);
    EXPECT_EQ(o.status, 0);
    EXPECT_NE(o.out.find("\nLook\n  status         Sums\n  requests       Lists\n\nKeep\n  store check    Verify\n"),
              std::string::npos)
        << o.out;
    EXPECT_NE(o.out.find("Examples\n"), std::string::npos);
    EXPECT_EQ(o.err, "");
  }
}

TEST(RunProgram, HelpOfACommandIsTheCommandsOwn) {
  EXPECT_EQ(run({"help", "status"}).status, 7);
  EXPECT_EQ(g_seen, (std::vector<std::string>{"understudy status", "--help"}));
  EXPECT_EQ(run({"help", "store", "compact"}).status, 7);
  EXPECT_EQ(g_seen, (std::vector<std::string>{"understudy store compact", "--help"}));
  EXPECT_EQ(run({"help", "store"}).out, "  store check    Verify\n  store compact  Shrink\n");
}

TEST(RunProgram, VersionFlagIsTheVersionCommand) {
  EXPECT_EQ(run({"--version"}).status, 7);
  EXPECT_EQ(g_seen, (std::vector<std::string>{"understudy version"}));
}

TEST(RunProgram, RefusesAnUnknownCommandWithTheNearest) {
  const Outcome o = run({"statsu"});
  EXPECT_EQ(o.status, 2);
  EXPECT_EQ(o.err, "understudy: there is no command \"statsu\"; did you mean \"status\"?\nAll commands: understudy --help\n");
  EXPECT_EQ(o.out, "");
  EXPECT_EQ(run({"xyzzy"}).err, "understudy: there is no command \"xyzzy\"\nAll commands: understudy --help\n");
}

TEST(RunProgram, AsksForTheSecondWord) {
  const Outcome o = run({"store"});
  EXPECT_EQ(o.status, 2);
  EXPECT_NE(o.err.find("say what to do"), std::string::npos);
  EXPECT_NE(o.err.find("store compact"), std::string::npos);
  const Outcome wrong = run({"store", "chekc"});
  EXPECT_EQ(wrong.status, 2);
  EXPECT_NE(wrong.err.find("there is no \"store chekc\"; did you mean \"check\"?"), std::string::npos) << wrong.err;
  EXPECT_EQ(run({"store", "--help"}).status, 0);
}

TEST(RunProgram, AnUncaughtExceptionIsOneLine) {
  const Outcome o = run({"boom"});
  EXPECT_EQ(o.status, 2);
  EXPECT_EQ(o.err, "understudy boom: the sky fell (unexpected: please report this, with the command line)\n");
}

TEST(EditDistance, CountsSwapsAsOne) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("abc", ""), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("statsu", "status"), 1u);
}

TEST(NearestName, FindsSlipsAndBeginningsAndNothingElse) {
  const std::vector<std::string_view> names{"status", "store", "requests", "replay"};
  EXPECT_EQ(nearest_name("requets", names), "requests");
  EXPECT_EQ(nearest_name("requ", names), "requests");
  EXPECT_EQ(nearest_name("re", names), std::nullopt) << "two names begin so";
  EXPECT_EQ(nearest_name("banana", names), std::nullopt);
  EXPECT_EQ(nearest_name("", names), std::nullopt);
}

/// Runs the built program through a shell.
Outcome shell(const std::string& command) {
  Outcome o;
  CaptureStdout();
  CaptureStderr();
  const int raw = std::system((std::string("P='") + UNDERSTUDY_PROGRAM + "'; " + command).c_str());
  o.status = WIFEXITED(raw) ? WEXITSTATUS(raw) : 128;
  o.out = GetCapturedStdout();
  o.err = GetCapturedStderr();
  return o;
}

TEST(Program, SaysItsVersion) {
  const Outcome o = shell("\"$P\" version");
  EXPECT_EQ(o.status, 0);
  EXPECT_TRUE(o.out.starts_with("understudy 0.")) << o.out;
  EXPECT_TRUE(shell("\"$P\" --version --json").out.starts_with(R"({"schema":"understudy.version/1","version":"0.)"));
}

TEST(Program, RefusesWrongArgumentsOfVersion) {
  EXPECT_EQ(shell("\"$P\" version --jsno").err,
            "understudy version: unknown flag \"--jsno\"; did you mean \"--json\"? (all flags: understudy version --help)\n");
  EXPECT_EQ(shell("\"$P\" version extra").status, 2);
  EXPECT_EQ(shell("\"$P\" version --json=maybe").status, 2);
}

TEST(Program, EndsQuietlyWhenItsReaderHasGone) {
  EXPECT_EQ(shell("\"$P\" --help | true").err, "");
  // With SIGPIPE ignored (as some parents leave it) the write fails instead: the same.
  const Outcome o = shell("trap '' PIPE; (sleep 0.1; \"$P\" --help; echo status $? >&2) | true");
  EXPECT_EQ(o.err, "status 0\n");
}

TEST(Program, SaysThatItsOutputCannotBeWritten) {
  if (::system("test -w /dev/full") != 0) GTEST_SKIP() << "no /dev/full here";
  const Outcome o = shell("\"$P\" --help > /dev/full");
  EXPECT_EQ(o.status, 3);
  EXPECT_NE(o.err.find("No space left"), std::string::npos) << o.err;
}

}  // namespace
}  // namespace understudy::app
