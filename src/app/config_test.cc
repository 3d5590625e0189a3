#include "app/config.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>

#include "app/model_spec.h"
#include "cascade/bound_specialist.h"
#include "specialists/registry.h"
#include "specialists/small_pairs_test_util.h"
#include "specialists/small_specialist_test_util.h"

namespace understudy::app {
namespace {

class ConfigTest : public ::testing::Test {
 protected:
  ConfigTest() {
    folder_ = std::filesystem::temp_directory_path() / ("understudy-config-" + std::to_string(::getpid()) + "-" + ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
  }
  ~ConfigTest() override { std::filesystem::remove_all(folder_); }

  Result<Config> load(const std::string& text, ServeFlags flags = {}) {
    flags.config = (folder_ / "c.toml").string();
    std::ofstream(flags.config) << text;
    return load_config(flags, [this](const std::string& name) -> std::optional<std::string> {
      const auto found = environment_.find(name);
      return found == environment_.end() ? std::nullopt : std::optional(found->second);
    });
  }
  std::string error(const std::string& text) {
    const auto config = load(text);
    EXPECT_FALSE(config) << text;
    return config ? "" : config.error().message;
  }

  static std::string with_models(const std::string& more = "", const std::string& in_student = "", const std::string& in_cascade = "") {
    return "[models.student]\nurl = \"http://127.0.0.1:1/v1\"\nmodel = \"small\"\nprice = { input = \"0.1\", output = \"0.4\" }\n" + in_student +
           "\n[models.teacher]\nurl = \"http://127.0.0.1:2/v1\"\nmodel = \"gpt-4o\"\n[cascade.default]\n" + in_cascade + "\n" + more;
  }

  std::filesystem::path folder_;
  std::map<std::string, std::string> environment_;
};

TEST_F(ConfigTest, TwoModelsAreEnough) {
  const auto config = load(with_models());
  ASSERT_TRUE(config) << config.error().message;
  const cascade::Policy& policy = *config->snapshot.policy;
  ASSERT_EQ(policy.cascades.size(), 1u);
  EXPECT_EQ(policy.models[*policy.cascades[0].student].config.name, "student");
  EXPECT_EQ(policy.models[policy.cascades[0].teacher].config.name, "teacher");
  EXPECT_FALSE(policy.cascades[0].escalate_below) << "without a threshold by hand the promise decides";
  EXPECT_EQ(policy.cascades[0].alpha, 0.05);
  EXPECT_TRUE(policy.cascades[0].cache);
  EXPECT_FALSE(policy.cascades[0].learns()) << "a file names its stages";
  EXPECT_TRUE(config->warnings.empty());
}

TEST_F(ConfigTest, StagesThatLearnAreNamedInAFileAndStandFirst) {
  const auto both = load(with_models("", "", "stages = [\"cache\", \"knn\", \"specialist\", \"teacher\"]"));
  ASSERT_TRUE(both) << both.error().message;
  const cascade::CascadeConfig& cascade = both->snapshot.policy->cascades[0];
  EXPECT_TRUE(cascade.knn && cascade.specialist && !cascade.student);
  const auto one = load(with_models("", "", "stages = [\"specialist\", \"student\", \"teacher\"]"));
  ASSERT_TRUE(one);
  EXPECT_TRUE(!one->snapshot.policy->cascades[0].knn && one->snapshot.policy->cascades[0].specialist);
  EXPECT_NE(both->snapshot.policy->version, one->snapshot.policy->version);
  EXPECT_NE(error(with_models("", "", "stages = [\"student\", \"knn\", \"teacher\"]")).find("behind \"student\""), std::string::npos);
}

TEST_F(ConfigTest, FlagsAreEnoughWithoutAFile) {
  ServeFlags flags;
  flags.student = "ollama:llama3.2";
  flags.teacher = "http://127.0.0.1:9/v1#big";
  flags.teacher_price = "1,2";
  const auto config = load_config(flags, [](const std::string&) { return std::nullopt; });
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_TRUE(config->snapshot.policy->cascades[0].knn && config->snapshot.policy->cascades[0].specialist) << "nobody has named stages";
  EXPECT_EQ(config->snapshot.policy->models[0].config.url, "http://127.0.0.1:11434/v1");
  EXPECT_EQ(config->snapshot.policy->models[1].override_prices->out, 2'000'000);
  ASSERT_EQ(config->warnings.size(), 1u) << "the student's price is not known";
  EXPECT_NE(config->warnings[0].find("--student-price"), std::string::npos);
}

TEST_F(ConfigTest, UnknownKeysAreRefusedWithTheNearestName) {
  EXPECT_NE(error(with_models("[server]\nlisten_on = \"x\"\n")).find("listen"), std::string::npos);
  EXPECT_NE(error(with_models("[sever]\n")).find("server"), std::string::npos);
  const std::string message = error(with_models("", "", "escalate_bellow = 0.5"));
  EXPECT_NE(message.find("cascade.default.escalate_bellow"), std::string::npos);
  EXPECT_NE(message.find("did you mean \"escalate_below\""), std::string::npos) << message;
  EXPECT_NE(message.find("c.toml:10"), std::string::npos) << message;
}

TEST_F(ConfigTest, WrongValuesSayWhatIsWanted) {
  EXPECT_NE(error(with_models("[server]\nworkers = \"two\"\n")).find("integer"), std::string::npos);
  EXPECT_NE(error(with_models("", "", "escalate_below = 1.5")).find("from 0 to 1"), std::string::npos);
  EXPECT_NE(error(with_models("", "", "mode = \"fast\"")).find("shadow"), std::string::npos);
  EXPECT_NE(error(with_models("", "", "stages = [\"cache\"]")).find("teacher"), std::string::npos);
  EXPECT_NE(error(with_models("", "", "stages = [\"cash\", \"teacher\"]")).find("cache"), std::string::npos);
  EXPECT_NE(error(with_models("", "", "student = \"stutent\"")).find("did you mean \"student\""), std::string::npos);
  EXPECT_NE(error(with_models("", "timeout = \"soon\"\n")).find("duration"), std::string::npos);
  EXPECT_NE(error(with_models("", "key = \"sk-secret\"\n")).find("key_env"), std::string::npos);
  EXPECT_NE(error(with_models("[[keys]]\nname = \"a\"\nhash = \"xyz\"\n")).find("64"), std::string::npos);
  EXPECT_NE(error("= nonsense").find(":1"), std::string::npos);
}

TEST_F(ConfigTest, SignalsAreReadInTheirOrder) {
  const auto config = load(with_models("[models.mid]\nurl = \"http://127.0.0.1:3/v1\"\nmodel = \"m\"\n", "", "signals = [\"samples:3\", \"self_check\", \"verbal\", \"peer:mid\"]"));
  ASSERT_TRUE(config) << config.error().message;
  const cascade::Policy& policy = *config->snapshot.policy;
  const auto& signals = policy.cascades[0].signals;
  ASSERT_EQ(signals.size(), 4u);
  EXPECT_EQ(signals[0].kind, cascade::SignalKind::kSamples);
  EXPECT_EQ(signals[0].samples, 3);
  EXPECT_EQ(signals[1].kind, cascade::SignalKind::kSelfCheck);
  EXPECT_EQ(signals[2].kind, cascade::SignalKind::kVerbal);
  EXPECT_EQ(policy.models[signals[3].peer].config.name, "mid");
  EXPECT_NE(policy.version, load(with_models("[models.mid]\nurl = \"http://127.0.0.1:3/v1\"\nmodel = \"m\"\n"))->snapshot.policy->version);
}

TEST_F(ConfigTest, WrongSignalsSayWhatIsWanted) {
  const auto wrong = [&](const std::string& list) { return error(with_models("", "", "signals = [" + list + "]")); };
  EXPECT_NE(wrong("\"selfcheck\"").find("did you mean \"self_check\""), std::string::npos) << wrong("\"selfcheck\"");
  for (const char* samples : {"\"samples\"", "\"samples:\"", "\"samples:0\"", "\"samples:21\"", "\"samples:3x\"", "\"samples:-1\"", "\"samples:99999999999\""}) {
    EXPECT_NE(wrong(samples).find("samples:1 to samples:20"), std::string::npos) << samples;
  }
  EXPECT_NE(wrong("\"verbal:3\"").find("takes no value"), std::string::npos);
  EXPECT_NE(wrong("\"peer:teachr\"").find("did you mean \"teacher\""), std::string::npos);
  EXPECT_NE(wrong("\"peer\"").find("no [models.]"), std::string::npos);
  EXPECT_NE(wrong("\"peer:teacher\"").find("is the teacher"), std::string::npos);
  EXPECT_NE(wrong("\"peer:student\"").find("the student itself"), std::string::npos);
  EXPECT_NE(wrong("\"verbal\", \"verbal\"").find("twice"), std::string::npos);
  EXPECT_NE(wrong("3").find("list of strings"), std::string::npos);
  EXPECT_NE(error(with_models("", "", "stages = [\"teacher\"]\nsignals = [\"verbal\"]")).find("no \"student\""), std::string::npos);
}

TEST_F(ConfigTest, SignalsUnderAThresholdByHandAreWarnedOf) {
  const auto config = load(with_models("", "", "escalate_below = 0.8\nsignals = [\"verbal\"]"));
  ASSERT_TRUE(config) << config.error().message;
  ASSERT_EQ(config->warnings.size(), 1u);
  EXPECT_NE(config->warnings[0].find("cascade.default.signals"), std::string::npos);
  EXPECT_TRUE(load(with_models("", "", "signals = []"))->warnings.empty());
}

TEST_F(ConfigTest, UrlsThatCannotBeCalledAreRefusedBeforeAnythingStarts) {
  for (const char* url : {"ftp://h/v1", "http://", "http://169.254.169.254/v1", "http://user:pass@h/v1", "127.0.0.1:8000"}) {
    const std::string message = error(with_models("[models.other]\nmodel = \"m\"\nurl = \"" + std::string(url) + "\"\n"));
    EXPECT_NE(message.find("models.other.url"), std::string::npos) << message;
    EXPECT_EQ(message.find("pass"), message.find("password")) << "a URL's password is not repeated: " << message;
  }
}

TEST_F(ConfigTest, ATableOrListThatIsSomethingElseIsNeverIgnored) {
  // Least of all the keys: without them everyone on this machine may call.
  EXPECT_NE(error("keys = \"secret\"\n" + with_models("")).find("must be a list of tables: [[keys]]"), std::string::npos);
  EXPECT_NE(error(with_models("[keys]\nname = \"a\"\n")).find("[[keys]]"), std::string::npos);
  for (const char* name : {"server", "store", "limits", "tasks", "alarms"}) {
    const std::string message = error(std::string(name) + " = 3\n" + with_models(""));
    EXPECT_NE(message.find(std::string(name) + " must be a table"), std::string::npos) << message;
  }
  EXPECT_NE(error(with_models("[tasks.a]\nmatch = \"b\"\n")).find("tasks.a.match must be a table"), std::string::npos);
}

TEST_F(ConfigTest, EverySettingOfTheFileSaysWhereItStands) {
  const auto config = load(with_models("[tasks.a]\n[tasks.a.match]\nheader = \"b\"\n"));
  ASSERT_TRUE(config) << config.error().message;
  for (const Origin& origin : config->origins) {
    EXPECT_NE(origin.origin.find("c.toml:"), std::string::npos) << origin.key << " is said to come from " << origin.origin;
  }
}

TEST_F(ConfigTest, SecretsComeFromTheEnvironmentOnly) {
  EXPECT_NE(error(with_models("", "key_env = \"NOT_SET_HERE\"\n")).find("NOT_SET_HERE"), std::string::npos);
  environment_["STUDENT_KEY"] = "s3cret";
  const auto config = load(with_models("", "key_env = \"STUDENT_KEY\"\n"));
  ASSERT_TRUE(config);
  EXPECT_EQ(config->snapshot.policy->models[0].config.key, "s3cret");
  for (const Origin& origin : config->origins) EXPECT_EQ(origin.value.find("s3cret"), std::string::npos);
}

TEST_F(ConfigTest, WhatWouldNotBeEnforcedIsRefused) {
  for (const char* section : {"[alarms]\nwebhook = \"http://x\"\n"}) {
    EXPECT_NE(error(with_models(section)).find("not available"), std::string::npos) << section;
  }
  const auto config = load(with_models("", "", "retrain = \"daily\"\n"));
  ASSERT_TRUE(config);
  EXPECT_EQ(config->warnings.size(), 1u);
}

TEST_F(ConfigTest, ACertificateNeedsItsKeyAndBothMustBeThere) {
  EXPECT_NE(error(with_models("[server]\ntls_cert = \"c.pem\"\n")).find("tls_key"), std::string::npos);
  EXPECT_NE(error(with_models("[server]\ntls_key = \"k.pem\"\n")).find("tls_cert"), std::string::npos);
  const std::string missing = error(with_models("[server]\ntls_cert = \"/nonexistent/c.pem\"\ntls_key = \"/nonexistent/k.pem\"\n"));
  EXPECT_NE(missing.find("/nonexistent/c.pem cannot be used: No such file"), std::string::npos) << missing;
}

TEST_F(ConfigTest, BudgetsOfTheGatewayKeysTasksAndModels) {
  const auto config = load(with_models("[limits]\nmax_usd_per_day = 100.0\nmax_usd_per_month = 0.29\n[[keys]]\nname = \"bot\"\nhash = \"" + std::string(64, 'a') +
                                           "\"\nmax_usd_per_month = 200\n[tasks.t]\nmax_usd_per_day = 2\n",
                                       "max_usd_per_day = 0.1\n"));
  ASSERT_TRUE(config) << config.error().message;
  std::vector<std::string> seen;
  for (const Budget& budget : config->snapshot.policy->budgets) {
    const auto usd = [](const std::optional<Picousd>& amount) { return amount ? format_usd(*amount, 12) : std::string("-"); };
    seen.push_back(fmt::format("{} {} {} {}", budget_scope_name(budget.scope), budget.name, usd(budget.per_day), usd(budget.per_month)));
  }
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(seen, (std::vector<std::string>{"all  100.000000000000 0.290000000000", "key bot - 200.000000000000", "model student 0.100000000000 -", "task t 2.000000000000 -"}));
}

TEST_F(ConfigTest, ABudgetOverAModelWithoutAPriceIsRefusedWithTheLineToAdd) {
  const std::string models = "[models.student]\nurl = \"http://127.0.0.1:1/v1\"\nmodel = \"nobody-knows-it\"\n[models.teacher]\nurl = \"http://127.0.0.1:2/v1\"\nmodel = \"t\"\nprice = { input = \"1\", output = \"2\" }\n";
  EXPECT_TRUE(load(models));
  EXPECT_TRUE(load(models + "max_usd_per_day = 1\n")) << "the teacher's own, whose price is known";
  for (const std::string budget : {"[limits]\nmax_usd_per_day = 1\n", "[tasks.t]\nmax_usd_per_month = 1\n"}) {
    const std::string said = error(models + budget);
    EXPECT_NE(said.find("[models.student]"), std::string::npos) << said;
    EXPECT_NE(said.find("price = { input ="), std::string::npos) << said;
  }
}

TEST_F(ConfigTest, AWrongTimeZoneIsNamed) {
  EXPECT_NE(error(with_models("[server]\ntimezone = \"Mars/Olympus\"\n")).find("Mars/Olympus"), std::string::npos);
}

TEST_F(ConfigTest, WithoutKeysOnlyLoopbackIsAllowed) {
  EXPECT_NE(error(with_models("[server]\nlisten = \"0.0.0.0:8080\"\n")).find("[[keys]]"), std::string::npos);
  const std::string key = "[[keys]]\nname = \"a\"\nhash = \"" + std::string(64, 'a') + "\"\n";
  EXPECT_TRUE(load(with_models("[server]\nlisten = \"0.0.0.0:8080\"\n" + key)));
}

TEST_F(ConfigTest, EveryKeyChangesSomething) {
  const auto base = load(with_models());
  ASSERT_TRUE(base);
  const auto changed = [&](const std::string& more, const std::string& in_student, const std::string& in_cascade, auto read) {
    const auto config = load(with_models(more, in_student, in_cascade));
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_NE(read(*config), read(*base)) << more << in_student << in_cascade;
  };
  const auto cascade = [](const Config& c) -> const cascade::CascadeConfig& { return c.snapshot.policy->cascades[0]; };
  const auto student = [](const Config& c) -> const cascade::PricedModel& { return c.snapshot.policy->models[0]; };
  changed("[server]\nlisten = \"127.0.0.1:1\"\n", "", "", [](const Config& c) { return c.server.listen; });
  changed("[server]\nworkers = 7\n", "", "", [](const Config& c) { return c.server.workers; });
  changed("[server]\nunknown_model = \"error\"\n", "", "", [](const Config& c) { return c.snapshot.policy->unknown_model; });
  changed("[server]\nheartbeat_s = 1\n", "", "", [](const Config& c) { return c.snapshot.policy->heartbeat_ms; });
  changed("[server]\ncache_bytes = 1\n", "", "", [](const Config& c) { return c.cache_bytes; });
  changed("[server]\nscore_cache_bytes = 1\n", "", "", [](const Config& c) { return c.score_cache_bytes; });
  changed("[server]\nencoder = \"off\"\n", "", "", [](const Config& c) { return c.encoder; });
  changed("[server]\ndrain = \"1s\"\n", "", "", [](const Config& c) { return c.drain_ms; });
  changed("[server]\ntop_logprobs = 1\n", "", "", [](const Config& c) { return c.snapshot.policy->top_logprobs; });
  changed("[store]\npath = \"elsewhere\"\n", "", "", [](const Config& c) { return c.data; });
  changed("[store]\ndurability = \"group\"\n", "", "", [](const Config& c) { return c.store.durability; });
  changed("[store]\nbodies = \"1d\"\n", "", "", [](const Config& c) { return c.store.bodies_max_age_ms; });
  changed("[store]\nbodies = \"none\"\n", "", "", [](const Config& c) { return c.snapshot.policy->keep_bodies; });
  changed("[store]\nrecords = \"1d\"\n", "", "", [](const Config& c) { return c.store.records_max_age_ms; });
  changed("[limits]\nmax_body_bytes = 1000\n", "", "", [](const Config& c) { return c.server.limits.body_bytes; });
  changed("[limits]\nmax_header_bytes = 1000\n", "", "", [](const Config& c) { return c.server.limits.head.bytes; });
  changed("[limits]\nmax_connections = 10\n", "", "", [](const Config& c) { return c.server.limits.connections; });
  changed("[limits]\nmax_concurrent_requests = 10\n", "", "", [](const Config& c) { return c.server.limits.requests; });
  changed("[limits]\nheader_timeout = \"1s\"\n", "", "", [](const Config& c) { return c.server.limits.head_ms; });
  changed("[limits]\nbody_timeout = \"1s\"\n", "", "", [](const Config& c) { return c.server.limits.body_ms; });
  changed("[limits]\nidle_timeout = \"1s\"\n", "", "", [](const Config& c) { return c.server.limits.idle_ms; });
  changed("[limits]\nwrite_timeout = \"1s\"\n", "", "", [](const Config& c) { return c.server.limits.write_stall_ms; });
  changed("", "key = \"client\"\n", "", [&](const Config& c) { return student(c).config.key_from_client; });
  changed("", "timeout = \"1s\"\n", "", [&](const Config& c) { return student(c).config.timeout_ms; });
  changed("", "connect_timeout = \"1s\"\n", "", [&](const Config& c) { return student(c).config.connect_timeout_ms; });
  changed("", "idle_timeout = \"1s\"\n", "", [&](const Config& c) { return student(c).config.idle_timeout_ms; });
  changed("", "provider = \"groq\"\n", "", [&](const Config& c) { return student(c).config.provider; });
  changed("", "", "stages = [\"student\", \"teacher\"]", [&](const Config& c) { return cascade(c).cache; });
  changed("", "", "student = \"teacher\"", [&](const Config& c) { return cascade(c).student; });
  changed("", "", "teacher = \"student\"", [&](const Config& c) { return cascade(c).teacher; });
  changed("", "", "mode = \"shadow\"", [&](const Config& c) { return cascade(c).mode; });
  changed("", "", "early_reject = true", [&](const Config& c) { return cascade(c).early_reject; });
  changed("", "", "early_reject = true", [](const Config& c) { return c.snapshot.policy->version; });
  changed("", "", "hedge_above = 0.9", [&](const Config& c) { return cascade(c).hedge_above; });
  changed("", "", "escalate_below = 0.5", [&](const Config& c) { return cascade(c).escalate_below; });
  changed("", "", "alpha = 0.03", [&](const Config& c) { return cascade(c).alpha; });
  changed("", "", "bad = \"worse\"", [&](const Config& c) { return cascade(c).forgive_harmless; });
  changed("", "", "delta = 0.2", [&](const Config& c) { return cascade(c).delta; });
  changed("", "", "max_age = \"7d\"", [&](const Config& c) { return cascade(c).max_age_ms; });
  changed("", "", "alpha = 0.04", [](const Config& c) { return c.snapshot.policy->version; });
  changed("", "", "spot_check = 0.5", [&](const Config& c) { return cascade(c).spot_check; });
  changed("", "", "label_budget_usd_per_day = 1.0", [&](const Config& c) { return cascade(c).label_budget_per_day->value; });
  changed("", "", "lesson_budget_usd_per_day = 1.0", [&](const Config& c) { return cascade(c).lesson_budget_per_day->value; });
  changed("", "", "cache_max_age = \"1s\"", [&](const Config& c) { return cascade(c).cache_max_age_ms; });
  changed("", "", "signals = [\"verbal\"]", [&](const Config& c) { return cascade(c).signals.size(); });
  changed("", "", "few_shots = 5", [&](const Config& c) { return cascade(c).few_shots.k; });
  changed("", "", "few_shots_stable = 5", [&](const Config& c) { return cascade(c).few_shots.stable; });
  changed("", "", "few_shot_tokens = 5", [&](const Config& c) { return cascade(c).few_shots.tokens; });
  changed("", "", "on_teacher_failure = \"student\"", [&](const Config& c) { return cascade(c).on_teacher_failure; });
  changed("[limits]\nmax_usd_per_day = 1.5\n", "", "", [](const Config& c) { return c.snapshot.policy->budgets.size(); });
  changed("[limits]\nmax_usd_per_month = 1.5\n", "", "", [](const Config& c) { return c.snapshot.policy->budgets.size(); });
  changed("[tasks.t]\nmax_usd_per_day = 1\n", "", "", [](const Config& c) { return c.snapshot.policy->budgets.size(); });
  changed("[tasks.t]\non_teacher_failure = \"student\"\n", "", "", [](const Config& c) { return c.snapshot.policy->version; });
  changed("", "max_usd_per_month = 1\n", "", [](const Config& c) { return c.snapshot.policy->budgets.size(); });
  changed("", "max_output_tokens = 100\n", "", [](const Config& c) { return c.snapshot.policy->models[0].max_output_tokens; });
  if (check_zone("Europe/Berlin")) changed("[server]\ntimezone = \"Europe/Berlin\"\n", "", "", [](const Config& c) { return c.timezone; });
  changed("", "", "escalate_below = 0.79", [](const Config& c) { return c.snapshot.policy->version; });
}

TEST_F(ConfigTest, FewShotsOfCascadesAndTasks) {
  const auto config = load(with_models("[tasks.intent]\nfew_shots = \"auto\"\n[tasks.tone]\nfew_shots = 0\n[tasks.other]\nfew_shot_tokens = 300\n", "", "few_shots = 5\nfew_shots_stable = 2"));
  ASSERT_TRUE(config) << config.error().message;
  const cascade::Policy& policy = *config->snapshot.policy;
  const auto of = [&](const char* task) { return cascade::few_shots_of(policy.cascades[0], policy.find_task(task, "x")); };
  EXPECT_EQ(of("unknown").k, 5);
  EXPECT_EQ(of("unknown").stable, 2);
  EXPECT_EQ(of("unknown").tokens, 1'500u);
  EXPECT_EQ(of("intent").k, cascade::FewShotConfig::kAuto);
  EXPECT_EQ(of("tone").k, 0);
  EXPECT_EQ(of("tone").stable, 0);
  EXPECT_EQ(of("other").k, 5);
  EXPECT_EQ(of("other").tokens, 300u);
  EXPECT_NE(error(with_models("", "", "few_shots = \"many\"")).find("\"auto\""), std::string::npos);
  EXPECT_NE(error(with_models("", "", "few_shots = 21")).find("20"), std::string::npos);
  EXPECT_NE(error(with_models("", "", "few_shots = 2\nfew_shots_stable = 3")).find("part of them"), std::string::npos);
  EXPECT_NE(error(with_models("", "", "stages = [\"teacher\"]\nfew_shots = 2")).find("no \"student\""), std::string::npos);
}

TEST_F(ConfigTest, SpecialistsComeFromADirectoryAndByName) {
  specialists::testing::write_small_specialist(folder_ / "data" / "specialists" / "intent-v1");
  specialists::testing::write_small_specialist(folder_ / "other" / "intent-v2", "b_");
  ServeFlags flags;
  flags.data = (folder_ / "data").string();
  const auto names = [](const Config& c) {
    std::string out;
    for (const auto& specialist : c.snapshot.policy->specialists->all()) out += specialist->name + " ";
    return out;
  };
  const auto usual = load(with_models(), flags);
  ASSERT_TRUE(usual) << usual.error().message;
  EXPECT_EQ(names(*usual), "intent-v1 ") << "specialists/ of the data directory";
  const auto directory = load(with_models(fmt::format("[specialists]\ndirectory = \"{}\"\n", (folder_ / "other").string())), flags);
  ASSERT_TRUE(directory) << directory.error().message;
  EXPECT_EQ(names(*directory), "intent-v2 ");
  EXPECT_NE(directory->snapshot.policy->version, usual->snapshot.policy->version);
  const auto named = load(with_models(fmt::format("[specialists.mine]\nfolder = \"{}\"\n", (folder_ / "other" / "intent-v2").string())), flags);
  ASSERT_TRUE(named) << named.error().message;
  EXPECT_EQ(names(*named), "intent-v1 mine ");
}

TEST_F(ConfigTest, ATaskBindsASpecialistAndSaysHowItsAnswersAreWritten) {
  specialists::testing::write_small_specialist(folder_ / "all" / "intent-v1");
  const std::string all = fmt::format("[specialists]\ndirectory = \"{}\"\n", (folder_ / "all").string());
  const auto task = [&](const std::string& keys) { return with_models(all + "[tasks.t]\n" + keys); };
  const auto plain = load(task("specialist = \"intent-v1\"\n")), json = load(task("specialist = \"intent-v1\"\nrender = '{\"intent\": \"{label}\"}'\n"));
  ASSERT_TRUE(plain && json);
  const auto& bound = json->snapshot.policy->tasks[0].bound;
  ASSERT_TRUE(bound);
  EXPECT_EQ(bound->specialist->name, "intent-v1");
  EXPECT_TRUE(bound->json);
  EXPECT_EQ(plain->snapshot.policy->tasks[0].bound->render, "{label}");
  EXPECT_NE(plain->snapshot.policy->version, json->snapshot.policy->version);
  EXPECT_NE(error(task("specialist = \"intent-v2\"\n")).find("did you mean \"intent-v1\"?"), std::string::npos);
  EXPECT_NE(error(task("render = \"{label}\"\n")).find("no specialist is bound"), std::string::npos);
  EXPECT_NE(error(task("specialist = \"intent-v1\"\nrender = \"yes\"\n")).find("tasks.t.render has no {label}"), std::string::npos);
}

TEST_F(ConfigTest, SpecialistsAreRecheckedWhereTheFileSaysHowOften) {
  specialists::testing::write_small_specialist(folder_ / "all" / "intent-v1");
  specialists::testing::write_small_specialist(folder_ / "all" / "intent-v2");
  const auto text = [&](const std::string& all, const std::string& own = "", const std::string& task = "[tasks.t]\nspecialist = \"intent-v1\"\n") {
    return with_models(fmt::format("[specialists]\ndirectory = \"{}\"\n{}{}{}", (folder_ / "all").string(), all, own, task));
  };
  const auto off = load(text(""));
  ASSERT_TRUE(off) << off.error().message;
  EXPECT_TRUE(off->snapshot.rechecks.empty());
  const auto usual = load(text("recheck = \"7d\"\n"));
  ASSERT_TRUE(usual) << usual.error().message;
  ASSERT_EQ(usual->snapshot.rechecks.size(), 1u);
  const gateway::RecheckConfig& one = usual->snapshot.rechecks[0];
  EXPECT_EQ(one.specialist, "intent-v1");
  EXPECT_EQ(one.every_ms, 7 * 86'400'000LL);
  EXPECT_EQ(one.sample, 200u);
  EXPECT_EQ(one.budget.value, kPicousdPerUsd);
  EXPECT_EQ(usual->snapshot.policy->models[one.teacher].config.name, "teacher");
  EXPECT_EQ(usual->store.reactors, off->store.reactors + 1) << "a journal of their own";
  EXPECT_EQ(usual->snapshot.policy->version, off->snapshot.policy->version) << "what is decided does not change";
  ASSERT_EQ(usual->warnings.size(), 1u);
  EXPECT_NE(usual->warnings[0].find("no task is bound to 'intent-v2'"), std::string::npos);
  const auto own = load(text("recheck = \"7d\"\nrecheck_sample = 300\nrecheck_teacher = \"student\"\nrecheck_at_least = 0.9\n",
                             "[specialists.intent-v1]\nrecheck = \"1d\"\nrecheck_budget_usd = 0.5\nrecheck_at_least = 0.8\n[specialists.intent-v2]\nrecheck = \"off\"\n"));
  ASSERT_TRUE(own) << own.error().message;
  ASSERT_EQ(own->snapshot.rechecks.size(), 1u);
  const gateway::RecheckConfig& other = own->snapshot.rechecks[0];
  EXPECT_EQ(other.every_ms, 86'400'000);
  EXPECT_EQ(other.sample, 300u);
  EXPECT_EQ(other.budget.value, kPicousdPerUsd / 2);
  EXPECT_EQ(other.at_least, 0.8);
  EXPECT_EQ(own->snapshot.policy->models[other.teacher].config.name, "student");
  EXPECT_TRUE(own->warnings.empty());
}

TEST_F(ConfigTest, RechecksThatCannotBeAreErrors) {
  specialists::testing::write_small_specialist(folder_ / "all" / "intent-v1");
  const auto text = [&](const std::string& all, const std::string& more = "[tasks.t]\nspecialist = \"intent-v1\"\n") {
    return with_models(fmt::format("[specialists]\ndirectory = \"{}\"\n{}{}", (folder_ / "all").string(), all, more));
  };
  EXPECT_NE(error(text("recheck = \"weekly\"\n")).find("specialists.recheck must be a duration"), std::string::npos);
  EXPECT_NE(error(text("recheck = \"5s\"\n")).find("from \"1m\""), std::string::npos);
  EXPECT_NE(error(text("recheck = \"7d\"\nrecheck_sample = 19\n")).find("from 20"), std::string::npos);
  EXPECT_NE(error(text("recheck = \"7d\"\nrecheck_every = 1\n")).find("recheck_every"), std::string::npos);
  EXPECT_NE(error(text("recheck = \"7d\"\nrecheck_teacher = \"nobody\"\n")).find("no [models.nobody]"), std::string::npos);
  EXPECT_NE(error(text("", "[specialists.intent-v3]\nrecheck = \"7d\"\n")).find("did you mean \"intent-v1\"?"), std::string::npos);
  EXPECT_NE(error(text("", "[specialists.intent-v1]\nrecheck = \"7d\"\n")).find("no task is bound"), std::string::npos);
  EXPECT_NE(error(text("recheck = \"7d\"\n", "[tasks.t]\nspecialist = \"intent-v1\"\n[store]\nbodies = \"none\"\n")).find("keeps no texts"), std::string::npos);
  const std::string models = "[models.free]\nurl = \"http://127.0.0.1:1/v1\"\nmodel = \"nobody-knows\"\n[models.theirs]\nurl = \"http://127.0.0.1:1/v1\"\nmodel = \"gpt-4o\"\nkey = \"client\"\n[tasks.t]\nspecialist = \"intent-v1\"\n";
  EXPECT_NE(error(text("recheck = \"7d\"\nrecheck_teacher = \"free\"\n", models)).find("needs the price of model 'free'"), std::string::npos);
  EXPECT_NE(error(text("recheck = \"7d\"\nrecheck_teacher = \"theirs\"\n", models)).find("caller's own key"), std::string::npos);
}

TEST_F(ConfigTest, SpecialistsThatCannotBeLoadedAreErrors) {
  const std::string folder = (folder_ / "all" / "intent-v1").string();
  specialists::testing::write_small_specialist(folder);
  EXPECT_NE(error(with_models("[specialists]\ndirectory = \"/nowhere/at/all\"\n")).find("no directory /nowhere/at/all"), std::string::npos);
  EXPECT_NE(error(with_models("[specialists.x]\nfolder = \"/nowhere\"\n")).find("/nowhere is no folder"), std::string::npos);
  EXPECT_NE(error(with_models("[specialists.x]\n")).find("specialists.x.folder is missing"), std::string::npos);
  EXPECT_NE(error(with_models("[specialists]\nx = 1\n")).find("must be a table"), std::string::npos);
  EXPECT_NE(error(with_models("[specialists.x]\nfolder = \"" + folder + "\"\nfoldr = \"y\"\n")).find("foldr"), std::string::npos);
  EXPECT_NE(error(with_models("[specialists.student]\nfolder = \"" + folder + "\"\n")).find("has the name of a model or cascade"), std::string::npos);
}

TEST_F(ConfigTest, WhatIsRedactedIsNamed) {
  const auto config = load(with_models("[store]\nredact = [\"email\", \"card\"]\nlessons = \"90d\"\n"));
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->snapshot.policy->redact.kinds(), Redactor::kEmail | Redactor::kCard);
  EXPECT_EQ(config->store.lessons_max_age_ms, std::int64_t{90} * 24 * 3600 * 1000);
  const auto wrong = load(with_models("[store]\nredact = [\"name\"]\n"));
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().message.find("store.redact"), std::string::npos) << wrong.error().message;
}

/// A folder with "rerank-v1", "judge-v1" and "intent-v1", and what a file says of it.
class BoundReaderConfigTest : public ConfigTest {
 protected:
  BoundReaderConfigTest() {
    specialists::testing::write_small_reranker(folder_ / "all" / "rerank-v1");
    specialists::testing::write_small_judge(folder_ / "all" / "judge-v1");
    specialists::testing::write_small_specialist(folder_ / "all" / "intent-v1");
  }
  std::string task(const std::string& keys) const { return with_models(fmt::format("[specialists]\ndirectory = \"{}\"\n[tasks.t]\n{}", (folder_ / "all").string(), keys)); }
  std::string rerank(const std::string& more = "") const { return task("specialist = \"rerank-v1\"\nextract = \"Query: {query}\\nPassages:\\n{documents}\"\ndocument = \"[{n}] {document}\"\n" + more); }
  std::string judge(const std::string& more = "") const { return task("specialist = \"judge-v1\"\nextract = \"Claim: {claim}\\nEvidence: {evidence}\"\n" + more); }

  /// The task of a file that loads.
  cascade::TaskConfig loaded(const std::string& text) {
    const auto config = load(text);
    EXPECT_TRUE(config) << config.error().message;
    versions_.push_back(config->snapshot.policy->version);
    return config->snapshot.policy->tasks.at(0);
  }
  std::string answer(const cascade::TaskConfig& t) {
    templates::Slots slots;
    slots.ids = {"1", "2", "3"};
    slots.documents = {"a", "b", "c"};
    if (t.bound->two_sided()) return read_verdict(*t.bound, slots, 0.75, 0.5).answer;
    return read_documents(*t.bound, slots, std::vector{0.25, 0.75, 0.5})->answer;
  }

  std::vector<std::string> versions_;
};

TEST_F(BoundReaderConfigTest, AJudgeComparesAnswers) {
  const cascade::TaskConfig plain = loaded(task("compare = \"judge\"\n"));
  EXPECT_EQ(plain.compare->comparator, calibration::Comparator::kJudge);
  EXPECT_FALSE(plain.judge) << "the cascade's teacher";
  EXPECT_EQ(plain.distilled_judge, nullptr);
  const cascade::TaskConfig full = loaded(task("compare = \"judge:0.7\"\njudge = \"student\"\ndistilled_judge = \"judge-v1\"\n"));
  EXPECT_DOUBLE_EQ(full.compare->level, 0.7);
  EXPECT_EQ(full.judge, 0u);
  ASSERT_NE(full.distilled_judge, nullptr);
  EXPECT_EQ(full.distilled_judge->name, "judge-v1");
  EXPECT_NE(versions_[0], versions_[1]);
  const auto says = [&](const std::string& keys, std::string_view wanted) {
    const std::string message = error(task(keys));
    EXPECT_NE(message.find(wanted), std::string::npos) << message;
  };
  says("judge = \"student\"\n", "tasks.t.judge compares a cheap answer with the teacher's, but `compare` is not \"judge\"");
  says("compare = \"text\"\ndistilled_judge = \"judge-v1\"\n", "tasks.t.distilled_judge");
  says("compare = \"judge\"\njudge = \"techer\"\n", "did you mean \"teacher\"");
  says("compare = \"judge\"\ndistilled_judge = \"judge-v2\"\n", "names 'judge-v2', which is not there");
  says("compare = \"judge\"\ndistilled_judge = \"rerank-v1\"\n", "is of kind rerank");
  says("compare = \"judge:2\"\n", "tasks.t.compare");
  says("compare = \"judge:0\"\n", "tasks.t.compare");
  says("compare = \"embedding\"\n", "needs an encoder");
}

TEST_F(BoundReaderConfigTest, EveryKeyOfTheFormChangesTheAnswer) {
  EXPECT_EQ(answer(loaded(rerank())), "[2] > [3] > [1]");
  EXPECT_EQ(answer(loaded(rerank("top = 2\n"))), "[2] > [3]");
  EXPECT_EQ(answer(loaded(rerank("separator = \", \"\n"))), "[2], [3], [1]");
  EXPECT_EQ(answer(loaded(rerank("item = \"{index}\"\n"))), "1 > 2 > 0");
  EXPECT_EQ(answer(loaded(rerank("render = \"Order: {ranking}\"\n"))), "Order: [2] > [3] > [1]");
  EXPECT_EQ(answer(loaded(rerank("compare = \"json\"\nrender = \"[{scores}]\"\n"))), "[0.25, 0.75, 0.50]");
  EXPECT_EQ(answer(loaded(rerank("compare = \"json\"\nrender = \"[{scores}]\"\ndigits = 1\n"))), "[0.2, 0.8, 0.5]");
  EXPECT_EQ(answer(loaded(judge())), "yes");
  EXPECT_EQ(answer(loaded(judge("verdicts = [\"supported\", \"not supported\"]\n"))), "supported");
  EXPECT_EQ(answer(loaded(judge("compare = \"score:1\"\nrender = \"Score: {score}\"\nscore_range = [1, 5]\ndigits = 0\n"))), "Score: 4");
  std::sort(versions_.begin(), versions_.end());
  EXPECT_EQ(std::adjacent_find(versions_.begin(), versions_.end()), versions_.end()) << "each of them is another policy";
}

TEST_F(BoundReaderConfigTest, TheTemplateSaysWhatIsRead) {
  const auto t = loaded(rerank());
  EXPECT_TRUE(t.bound->texts->extract.match("Query: q\nPassages:\n[1] a\n[2] b"));
  EXPECT_FALSE(t.bound->texts->extract.match("Query: q\nPassages:\n1. a\n2. b"));
  const auto other = loaded(task("specialist = \"rerank-v1\"\nextract = \"{documents}\\nQuery: {query}\"\ndocument = \"{n}. {document}\"\n"));
  EXPECT_TRUE(other.bound->texts->extract.match("1. a\n2. b\nQuery: q"));
}

TEST_F(BoundReaderConfigTest, TheComparatorIsTheTasksOrFitsTheForm) {
  const auto agrees = [&](const std::string& text, std::string_view a, std::string_view b) { return calibration::agrees(*loaded(text).compare, a, b); };
  EXPECT_TRUE(agrees(rerank(), "[1] > [2] > [3] > [4]", "[3] > [2] > [1] > [4]")) << "the first three, in any order";
  EXPECT_FALSE(agrees(rerank("compare = \"ranking:top=1\"\n"), "[1] > [2] > [3]", "[3] > [2] > [1]"));
  EXPECT_FALSE(agrees(rerank(), "[1] > [2] > [3] > [4]", "[4] > [2] > [1] > [3]"));
  EXPECT_TRUE(agrees(rerank("compare = \"ranking:top=3,level=0.6\"\n"), "[1] > [2] > [3] > [4]", "[4] > [2] > [1] > [3]"));
  EXPECT_FALSE(agrees(rerank("compare = \"ranking:tau=0.5\"\n"), "[1] > [2] > [3]", "[3] > [2] > [1]"));
  EXPECT_TRUE(agrees(judge(), "yes", "Yes, it is.")) << "its own two words are the labels";
  EXPECT_FALSE(agrees(judge(), "yes", "no"));
  const std::string score = "render = \"{score}\"\ncompare = ";
  EXPECT_TRUE(agrees(judge(score + "\"score:0.2\"\n"), "0.45", "0.6"));
  EXPECT_FALSE(agrees(judge(score + "\"score:0.1\"\n"), "0.45", "0.6"));
  EXPECT_FALSE(agrees(judge(score + "\"score:side=0.5\"\n"), "0.45", "0.6"));
}

TEST_F(BoundReaderConfigTest, ABandIsForTwoSidedScores) {
  const auto t = loaded(judge("escalate_between = [0.35, 0.75]\n"));
  ASSERT_TRUE(t.escalate_between);
  EXPECT_EQ(t.escalate_between->no_to, 0.35);
  EXPECT_EQ(t.escalate_between->yes_from, 0.75);
  const auto whole = load(task("specialist = \"judge-v1\"\nextract = \"Claim: {claim}\\nEvidence: {evidence}\"\n"));
  EXPECT_FALSE(cascade::Policy::by_hand(whole->snapshot.policy->cascades[0], &whole->snapshot.policy->tasks[0]));
  EXPECT_NE(error(rerank("escalate_between = [0.35, 0.75]\n")).find("tasks.t.escalate_between is for one score"), std::string::npos);
  EXPECT_NE(error(with_models("[tasks.t]\nescalate_between = [0.35, 0.75]\n")).find("is for one score"), std::string::npos);
  EXPECT_NE(error(judge("escalate_between = [0.75, 0.35]\n")).find("LOW below HIGH"), std::string::npos);
  EXPECT_NE(error(judge("escalate_between = [0.1, 0.2, 0.3]\n")).find("two numbers"), std::string::npos);
  EXPECT_NE(error(judge("escalate_between = 0.5\n")).find("two numbers"), std::string::npos);
  EXPECT_NE(error(judge("escalate_between = [-1, 0.5]\n")).find("from 0 to 1"), std::string::npos);
  EXPECT_NE(error(judge("alpha = 0.05\nescalate_between = [0.2, 0.8]\n")).find("exclude each other"), std::string::npos);
  const auto cascade = load(with_models("", "", "escalate_between = [0.2, 0.8]"));
  ASSERT_TRUE(cascade) << cascade.error().message;
  EXPECT_EQ(cascade->snapshot.policy->cascades[0].escalate_between->yes_from, 0.8);
}

TEST_F(BoundReaderConfigTest, WhatIsWrongIsNamedWithItsKey) {
  const auto says = [&](const std::string& text, std::string_view words) { EXPECT_NE(error(text).find(words), std::string::npos) << error(text); };
  says(task("specialist = \"rerank-v1\"\n"), "tasks.t.extract is missing: 'rerank-v1' is a reranker");
  says(task("specialist = \"judge-v1\"\n"), "extract = \"Claim: {claim}\\nEvidence: {evidence}\"");
  says(task("specialist = \"judge-v1\"\nextract = \"Is it supported?\"\n"), "tasks.t.extract has no slot");
  says(task("specialist = \"judge-v1\"\nextract = \"Q: {query}\\nE: {evidence}\"\n"), "tasks.t.extract needs {claim} and {evidence}");
  says(task("specialist = \"rerank-v1\"\nextract = \"Claim: {claim}\\nEvidence: {evidence}\"\n"), "tasks.t.extract needs {query}");
  says(task("specialist = \"rerank-v1\"\nextract = \"{query}:\\n{documents}\"\n"), "tasks.t.document is missing");
  says(judge("document = \"[{n}] {document}\"\n"), "tasks.t.document is how each of {documents}");
  says(task("specialist = \"intent-v1\"\nextract = \"{query}\"\n"), "tasks.t.extract says how a reranker or judge is asked");
  says(task("top = 3\n"), "no specialist is bound");
  specialists::testing::write_small_answer_judge(folder_ / "all" / "grader", specialists::JudgeForm::kScore);
  says(task("specialist = \"grader\"\nextract = \"{query}\"\n"), "tasks.t.specialist names 'grader', a judge of answers");
  says(rerank("compare = \"choice\"\n"), "tasks.t.compare = \"choice\" cannot tell whether two answers written as {ranking} agree");
  says(judge("render = \"{score}\"\n"), "tasks.t.compare is missing");
  says(judge("render = \"{label}\"\n"), "tasks.t.render has {label}");
  says(judge("top = 3\n"), "tasks.t.top is how many {ranking} names");
  says(rerank("verdicts = [\"yes\", \"no\"]\n"), "tasks.t.verdicts are the words of {verdict}");
  says(rerank("digits = 3\n"), "tasks.t.digits is how {score} is written");
  says(judge("separator = \", \"\n"), "tasks.t.separator is how");
  says(judge("verdicts = [\"yes\"]\n"), "tasks.t.verdicts must be two words");
  says(judge("render = \"{score}\"\ncompare = \"score:1\"\nscore_range = [1, 1]\n"), "tasks.t.score_range must be two numbers that differ");
  says(rerank("itme = \"{n}\"\n"), "did you mean \"item\"");
}

TEST_F(ConfigTest, TasksAreFoundByNameHeaderAndModel) {
  const auto config = load(with_models("[tasks.intent]\ncompare = \"json\"\npin = \"teacher\"\nescalate_below = 0.9\nspot_check = 0.1\n[tasks.intent.match]\nheader = \"i\"\nmodel = \"im\"\n"));
  ASSERT_TRUE(config) << config.error().message;
  const cascade::Policy& policy = *config->snapshot.policy;
  ASSERT_NE(policy.find_task("intent", "x"), nullptr);
  EXPECT_EQ(policy.find_task("i", "x"), policy.find_task("intent", "x"));
  EXPECT_EQ(policy.find_task("", "im"), policy.find_task("intent", "x"));
  EXPECT_EQ(policy.find_task("", "x"), nullptr);
  EXPECT_TRUE(policy.find_task("intent", "x")->pin_teacher);
  EXPECT_EQ(policy.find_task("intent", "x")->compare->comparator, calibration::Comparator::kJson);
}

TEST(ModelSpec, NamesWhatIsWrong) {
  EXPECT_TRUE(parse_model_spec("openai:gpt-4o"));
  EXPECT_EQ(parse_model_spec("ollama:llama3.2:1b")->model, "llama3.2:1b");
  EXPECT_NE(parse_model_spec("opnai:x").error().message.find("openai"), std::string::npos);
  EXPECT_FALSE(parse_model_spec("gpt-4o"));
  EXPECT_FALSE(parse_model_spec("http://127.0.0.1/v1"));
  EXPECT_FALSE(parse_model_spec("anthropic:claude"));
  EXPECT_FALSE(parse_model_spec(":"));
}

}  // namespace
}  // namespace understudy::app
