#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include "app/config.h"
#include "app/key_text.h"
#include "app/keys_command.h"
#include "app/test_support.h"
#include "base/time_format.h"

namespace understudy::app {
namespace {

constexpr std::string_view kModels =
    "# models of the shop\n[models.student]\nurl = \"http://127.0.0.1:1/v1\"   # local\nmodel = \"small\"\n\n[models.teacher]\nurl = \"http://127.0.0.1:2/v1\"\nmodel = \"gpt-4o\"\n";

class KeysCommand : public testing::Test {
 protected:
  KeysCommand() {
    std::string name = (fs::temp_directory_path() / "understudy-keys-XXXXXX").string();
    dir_ = ::mkdtemp(name.data());
    config_ = (dir_ / "understudy.toml").string();
    write(std::string(kModels));
  }
  ~KeysCommand() override { fs::remove_all(dir_); }

  void write(const std::string& text) { std::ofstream(config_, std::ios::binary) << text; }
  std::string read() const {
    std::ostringstream out;
    out << std::ifstream(config_, std::ios::binary).rdbuf();
    return out.str();
  }
  Outcome keys(const std::string& verb, std::vector<std::string> words = {}) {
    words.insert(words.end(), {"--config", config_});
    const CommandFunction command = verb == "create" ? run_keys_create_command : verb == "list" ? run_keys_list_command : verb == "rotate" ? run_keys_rotate_command : run_keys_revoke_command;
    return run(command, "understudy keys " + verb, std::move(words));
  }
  /// What a gateway would make of the file.
  Result<Config> load() const {
    ServeFlags flags;
    flags.config = config_;
    return load_config(flags, [](const std::string&) { return std::nullopt; });
  }
  const gateway::ApiKey* who(const std::string& secret, const Clock& clock = system_clock()) {
    auto config = load();
    EXPECT_TRUE(config) << config.error().message;
    ring_ = config ? config->snapshot.keys : nullptr;
    return ring_ ? ring_->find(secret, clock) : nullptr;
  }

  fs::path dir_;
  std::string config_;
  std::shared_ptr<const gateway::KeyRing> ring_;
};

std::string one_line(std::string text) {
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

TEST_F(KeysCommand, CreatePrintsASecretOnceThatTheGatewayKnows) {
  const Outcome made = keys("create", {"support-bot"});
  ASSERT_EQ(made.status, 0) << made.err;
  const std::string secret = one_line(made.out);
  EXPECT_EQ(secret.size(), 4 + 64u) << "256 bits";
  EXPECT_TRUE(contains(made.err, "SIGHUP") || contains(made.err, "kill -HUP")) << made.err;
  EXPECT_TRUE(contains(made.err, "first key")) << made.err;
  EXPECT_FALSE(contains(made.err, secret));
  EXPECT_FALSE(contains(read(), secret)) << "only its hash is kept";
  EXPECT_TRUE(read().starts_with(kModels)) << "what the user wrote stays";
  const gateway::ApiKey* key = who(secret);
  ASSERT_NE(key, nullptr);
  EXPECT_EQ(key->name, "support-bot");
  EXPECT_EQ(key->tenant, "support-bot");
  EXPECT_TRUE(key->inference && !key->admin && !key->audit && !key->trusted);
  EXPECT_NE(one_line(keys("create", {"other"}).out), secret);
}

TEST_F(KeysCommand, OptionsAndJsonSayWhatTheKeyMay) {
  const Outcome made = keys("create", {"--name", "ops \"1\"", "--scopes", "admin,audit", "--tenant", "shop", "--trusted", "--json"});
  ASSERT_EQ(made.status, 0) << made.err;
  EXPECT_EQ(at(made.out, "/schema"), "\"understudy.key/1\"");
  EXPECT_EQ(at(made.out, "/scopes"), "[\"admin\",\"audit\"]");
  EXPECT_EQ(at(made.out, "/tenant"), "\"shop\"");
  EXPECT_EQ(at(made.out, "/trusted"), "true");
  const std::string secret = at(made.out, "/key");
  const gateway::ApiKey* key = who(secret.substr(1, secret.size() - 2));
  ASSERT_NE(key, nullptr);
  EXPECT_EQ(key->name, "ops \"1\"");
  EXPECT_TRUE(!key->inference && key->admin && key->audit && key->trusted);
  const Outcome list = keys("list", {"--json"});
  EXPECT_EQ(at(list.out, "/keys/0/name"), "\"ops \\\"1\\\"\"");
  EXPECT_EQ(at(list.out, "/keys/0/hash"), at(made.out, "/hash"));
  EXPECT_TRUE(contains(keys("list").out, "admin, audit"));
}

TEST_F(KeysCommand, LimitsAreWrittenAndRead) {
  const Outcome made = keys("create", {"bot", "--requests-per-minute", "600", "--json"});
  ASSERT_EQ(made.status, 0) << made.err;
  EXPECT_EQ(at(made.out, "/requests_per_minute"), "600");
  EXPECT_EQ(at(made.out, "/requests_per_second"), "null");
  EXPECT_TRUE(contains(read(), "requests_per_minute = 600\n"));
  EXPECT_TRUE(contains(keys("list").out, "600/min"));
  EXPECT_EQ(keys("create", {"b", "--requests-per-minute", "0"}).status, 2);
  EXPECT_EQ(keys("create", {"b", "--requests-per-minute", "1", "--requests-per-second", "1"}).status, 2);
  write(read() + "requests_per_second = 5\n");
  EXPECT_FALSE(load());
  EXPECT_TRUE(contains(keys("list").err, "exclude each other"));
}

TEST_F(KeysCommand, BudgetsAreWrittenAndRead) {
  std::string priced(kModels);
  priced.insert(priced.find("\n[models.teacher]"), "price = { input = \"0\", output = \"0\" }\n");
  write(priced);
  const Outcome paid = keys("create", {"paid", "--tokens-per-minute", "5000", "--max-usd-per-day", "2.5", "--max-usd-per-month", "50"});
  ASSERT_EQ(paid.status, 0) << paid.err;
  EXPECT_TRUE(contains(read(), "tokens_per_minute = 5000\nmax_usd_per_day = 2.5\nmax_usd_per_month = 50.0\n")) << read();
  const gateway::ApiKey* limited = who(one_line(paid.out));
  ASSERT_NE(limited, nullptr);
  EXPECT_TRUE(limited->tokens);
  EXPECT_EQ(limited->max_per_day->value, 2'500'000'000'000);
  EXPECT_EQ(limited->max_per_month->value, 50'000'000'000'000);
  EXPECT_EQ(keys("create", {"b", "--max-usd-per-day", "-1"}).status, 2);
}

TEST_F(KeysCommand, WrongInputIsToldAndNothingIsWritten) {
  keys("create", {"bot"});
  const std::string before = read();
  const Outcome twice = keys("create", {"bot"});
  EXPECT_EQ(twice.status, 2);
  EXPECT_TRUE(contains(twice.err, "already") && contains(twice.err, "rotate")) << twice.err;
  const Outcome scope = keys("create", {"x", "--scope", "amdin"});
  EXPECT_EQ(scope.status, 2);
  EXPECT_TRUE(contains(scope.err, "did you mean \"admin\"")) << scope.err;
  EXPECT_EQ(keys("create", {"a\nb"}).status, 2);
  EXPECT_EQ(keys("create", {""}).status, 2);
  const Outcome none = keys("rotate", {"bto"});
  EXPECT_EQ(none.status, 2);
  EXPECT_TRUE(contains(none.err, "did you mean \"bot\"")) << none.err;
  EXPECT_EQ(keys("rotate", {"bot", "--grace", "soon"}).status, 2);
  EXPECT_EQ(keys("revoke", {"nobody"}).status, 2);
  EXPECT_EQ(read(), before);
  write("[[keys]\n");
  const Outcome broken = keys("list");
  EXPECT_EQ(broken.status, 2);
  EXPECT_TRUE(contains(broken.err, "understudy.toml:1")) << broken.err;
  fs::remove(config_);
  EXPECT_TRUE(contains(keys("create", {"bot"}).err, "No such file"));
  fs::create_directory(config_);
  EXPECT_TRUE(contains(keys("create", {"bot"}).err, "directory"));
}

TEST_F(KeysCommand, RotateKeepsTheOldSecretForAsLongAsAsked) {
  const std::string first = one_line(keys("create", {"bot"}).out);
  const Outcome rotated = keys("rotate", {"bot", "--grace", "24h"});
  ASSERT_EQ(rotated.status, 0) << rotated.err;
  const std::string second = one_line(rotated.out);
  EXPECT_NE(who(second), nullptr);
  EXPECT_NE(who(first), nullptr);
  ManualClock later(WallTime{system_clock().wall().us + 23LL * 3'600'000'000});
  EXPECT_NE(who(first, later), nullptr);
  later.advance_ms(2 * 3'600'000);
  EXPECT_EQ(who(first, later), nullptr) << "its time is over";
  EXPECT_NE(who(second, later), nullptr);
  EXPECT_TRUE(contains(keys("list").out, "good until"));
  const std::string third = one_line(keys("rotate", {"bot"}).out);
  EXPECT_NE(who(third), nullptr);
  EXPECT_EQ(who(second), nullptr) << "without --grace the old one ends";
  EXPECT_EQ(who(first), nullptr);
  EXPECT_FALSE(contains(read(), "previous_"));
}

TEST_F(KeysCommand, RevokeTakesOutOneKeyAndGuardsTheLast) {
  const std::string a = one_line(keys("create", {"a"}).out);
  const std::string with_a = read();
  const std::string b = one_line(keys("create", {"b"}).out);
  const Outcome gone = keys("revoke", {"b"});
  ASSERT_EQ(gone.status, 0) << gone.err;
  EXPECT_EQ(read(), with_a);
  EXPECT_EQ(who(b), nullptr);
  EXPECT_NE(who(a), nullptr);
  const Outcome last = keys("revoke", {"a"});
  EXPECT_EQ(last.status, 2);
  EXPECT_TRUE(contains(last.err, "last key")) << last.err;
  EXPECT_EQ(at(keys("revoke", {"a", "--last", "--json"}).out, "/keys"), "0");
  EXPECT_TRUE(load()->snapshot.keys->open());
  EXPECT_EQ(one_line(read()), one_line(std::string(kModels)));
}

TEST_F(KeysCommand, TheFilesModeIsKeptAndALinkStaysALink) {
  ::chmod(config_.c_str(), 0640);
  const fs::path link = dir_ / "link.toml";
  fs::create_symlink(config_, link);
  config_.swap(const_cast<std::string&>(link.native()));
  ASSERT_EQ(keys("create", {"bot"}).status, 0);
  EXPECT_TRUE(fs::is_symlink(config_));
  EXPECT_EQ(fs::status(config_).permissions(), fs::perms(0640));
  EXPECT_EQ(std::distance(fs::directory_iterator(dir_), fs::directory_iterator()), 2) << "nothing is left beside it";
}

TEST_F(KeysCommand, TwoEditsAtOnceDoNotLoseOne) {
  const int fd = ::open(config_.c_str(), O_RDONLY);
  ASSERT_EQ(::flock(fd, LOCK_EX), 0);
  const Outcome busy = keys("create", {"bot"});
  EXPECT_EQ(busy.status, 2);
  EXPECT_TRUE(contains(busy.err, "another command")) << busy.err;
  ::close(fd);
  EXPECT_EQ(keys("create", {"bot"}).status, 0);
}

constexpr std::string_view kHash = "0000000000000000000000000000000000000000000000000000000000000001";

TEST(KeyText, EditsLeaveCommentsOrderAndLineEndsAlone) {
  const std::string text =
      "# top\r\n[[keys]]   # first\r\n  name = 'a'\r\n  hash = \"" + std::string(kHash) + "\"  # made in May\r\n  # note on a\r\n\r\n# of b\r\n[[keys]]\r\nhash = 'x'\r\nname = \"b\"\r\n\r\n# the end of keys\r\n\r\n[server] # last\r\nlisten = '127.0.0.1:1'\r\n";
  const auto added = add_key(text, {"c", std::string(64, 'f'), "", {"audit"}, true});
  ASSERT_TRUE(added) << added.error().message;
  const std::string block = "\r\n[[keys]]\r\nname = \"c\"\r\nhash = \"" + std::string(64, 'f') + "\"\r\ntrusted = true\r\nscopes = [\"audit\"]\r\n";
  std::string expected = text;
  expected.insert(expected.find("\r\n# the end"), block);
  EXPECT_EQ(*added, expected);
  EXPECT_EQ(*remove_key(*added, "c"), text);
  const auto without_a = remove_key(text, "a");
  ASSERT_TRUE(without_a) << without_a.error().message;
  EXPECT_EQ(*without_a, text.substr(text.find("# of b")));
  const auto rotated = rotate_key(text, "a", std::string(64, 'e'), *parse_rfc3339("2026-05-11T08:00:00Z"));
  ASSERT_TRUE(rotated) << rotated.error().message;
  EXPECT_NE(rotated->find("  hash = \"" + std::string(64, 'e') + "\"  # made in May\r\n  previous_hash = \"" + std::string(kHash) + "\"\r\n  previous_until = \"2026-05-11T08:00:00Z\"\r\n  # note on a\r\n"), std::string::npos) << *rotated;
  EXPECT_EQ(rotated->find(std::string(64, 'e')), text.find(kHash));
  const auto again = rotate_key(*rotated, "a", std::string(64, 'd'), std::nullopt);
  ASSERT_TRUE(again);
  std::string plain = text;
  EXPECT_EQ(*again, plain.replace(plain.find(kHash), 64, std::string(64, 'd')));
}

TEST(KeyText, FilesWithoutALastLineEndAndKeysWithTablesOfTheirOwnAreEdited) {
  const auto added = add_key("[server]\nlisten = \"127.0.0.1:1\"", {"c", "h", "", {}, false});
  ASSERT_TRUE(added);
  EXPECT_EQ(*added, "[server]\nlisten = \"127.0.0.1:1\"\n\n[[keys]]\nname = \"c\"\nhash = \"h\"\n");
  EXPECT_EQ(*add_key("", {"c", "h", "", {}, false}), "[[keys]]\nname = \"c\"\nhash = \"h\"\n");
  const std::string nested = "[[keys]]\nname = \"a\"\nhash = \"h\"\n[keys.more]\nx = 1\n[[keys]]\nname = \"b\"\nhash = \"i\"\n";
  EXPECT_EQ(*remove_key(nested, "a"), "[[keys]]\nname = \"b\"\nhash = \"i\"\n");
}

TEST(KeyText, WhatCannotBeEditedSafelyIsRefused) {
  const std::string list = "keys = [ { name = \"a\", hash = \"h\" } ]\n";
  for (const auto& result : {add_key(list, {"c", "h", "", {}, false}), remove_key(list, "a"), rotate_key(list, "a", "i", std::nullopt)}) {
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, ErrorKind::kUnsupported);
    EXPECT_NE(result.error().message.find("by hand"), std::string::npos);
  }
  EXPECT_FALSE(add_key("keys = 3\n", {"c", "h", "", {}, false}));
  EXPECT_FALSE(rotate_key("[[keys]]\nname = \"a\"\nhash = \"\\u0068\"\n", "a", "i", std::nullopt)) << "escapes hide the text";
}

TEST(KeyText, ABlockThatOnlyLooksLikeAKeyIsText) {
  const std::string text = "[models.x]\nnote = \"\"\"\n[[keys]]\nname = \"a\"\n\"\"\"\n[[keys]]\nname = \"a\"\nhash = \"h\"\n";
  EXPECT_EQ(*remove_key(text, "a"), "[models.x]\nnote = \"\"\"\n[[keys]]\nname = \"a\"\n\"\"\"\n");
}

}  // namespace
}  // namespace understudy::app
