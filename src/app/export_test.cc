// The gateway's own log, out through `export outcomes` and in through `eval`: two recorded upstreams and a gateway in this
// process, every request a spot check.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <simdjson.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "app/config.h"
#include "app/demo_data.h"
#include "app/replay_server.h"
#include "evaluation/eval_command.h"
#include "evaluation/export_outcomes.h"
#include "gateway/gateway.h"
#include "net/client.h"
#include "net/reactor.h"
#include "net/task.h"
#include "net/url.h"
#include "store/store.h"

namespace understudy::app {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kRequests = 120;

net::Awaitable<void> send_all(net::ClientPool& pool, net::ClientTarget& target, const DemoData& data, std::size_t& served) {
  for (std::size_t i = 0; i < kRequests; ++i) {
    std::array<net::Field, 3> fields{net::Field{"content-type", "application/json"}, net::Field{"x-request-id", data.requests[i].id},
                                     net::Field{"x-understudy-task", "ticket_intent"}};
    const std::array<std::string_view, 1> body{data.requests[i].body};
    net::ClientRequest request("POST", "/chat/completions", fields, body);
    request.deadline = net::Deadline::after_ms(pool.reactor().now(), 60'000);
    auto response = co_await pool.send(target, request);
    if (!response) continue;
    auto text = co_await response->read_all();
    served += text && response->status() == 200;
  }
}

class ExportedLog : public testing::Test {
 protected:
  ExportedLog() : folder_(fs::temp_directory_path() / fmt::format("understudy-export-test-{}", ::getpid())) { fs::create_directories(folder_); }
  ~ExportedLog() override { fs::remove_all(folder_); }

  /// Runs the gateway over the first requests of the demo; its data lie in folder_ / "data" afterwards.
  void run_gateway(double coin) {
    auto found = find_demo_data((fs::path(UNDERSTUDY_SOURCE_DIR) / "data" / "demo").string());
    ASSERT_TRUE(found) << found.error().message;
    auto data = load_demo_data(*found, false);
    ASSERT_TRUE(data) << data.error().message;
    auto student_answers = providers::Recording::load({data->student_file.string()});
    ASSERT_TRUE(student_answers) << student_answers.error().message;
    ReplayOptions fast;
    fast.latency_scale = 0;
    auto student = start_replay_server(fast, *student_answers);
    auto teacher = start_replay_server(fast, data->teacher);
    ASSERT_TRUE(student && teacher);
    std::ofstream(folder_ / "understudy.toml") << fmt::format(
        "[models.student]\nurl = \"http://{}/v1\"\nmodel = \"{}\"\nprice = {{ input = \"0.10\", output = \"0.40\" }}\n"
        "[models.teacher]\nurl = \"http://{}/v1\"\nmodel = \"{}\"\nprice = {{ input = \"2.50\", output = \"10\" }}\n"
        "[cascade.default]\nescalate_below = 0.8\nspot_check = {}\nlabel_budget_usd_per_day = 100.0\nlesson_budget_usd_per_day = 0.0\n[tasks.ticket_intent]\ncompare = \"json\"\n",
        (*student)->address(), data->student_model, (*teacher)->address(), data->teacher->model(), coin);
    ServeFlags flags;
    flags.config = (folder_ / "understudy.toml").string();
    flags.data = (folder_ / "data").string();
    flags.listen = "127.0.0.1:0";
    flags.workers = 1;
    auto config = load_config(flags, [](const std::string&) { return std::optional<std::string>(); });
    ASSERT_TRUE(config) << config.error().message;
    auto store = store::Store::open(config->data, config->store);
    ASSERT_TRUE(store) << store.error().message;
    gateway::GatewayOptions options;
    options.server = config->server;
    options.version = "test";
    auto gateway = gateway::Gateway::start(std::move(options), config->snapshot, store->get());
    ASSERT_TRUE(gateway) << gateway.error().message;

    auto reactor = net::Reactor::create();
    auto url = net::parse_url("http://" + (*gateway)->address() + "/v1");
    ASSERT_TRUE(reactor && url);
    std::size_t served = 0;
    {
      net::ClientPool pool(**reactor, net::ClientOptions());
      net::block_on(**reactor, send_all(pool, pool.target(*url), *data, served));
    }
    EXPECT_EQ(served, kRequests);
    (*gateway)->drain(30'000);
    gateway->reset();
    store->reset();
  }

  struct Ran {
    int status = -1;
    std::string out, err;
  };
  template <typename Command>
  Ran run(Command command, const std::vector<std::string>& arguments) {
    const fs::path out = folder_ / "out", err = folder_ / "err";
    std::FILE* o = std::fopen(out.c_str(), "w");
    std::FILE* e = std::fopen(err.c_str(), "w");
    Ran ran;
    ran.status = command(arguments, o, e);
    std::fclose(o);
    std::fclose(e);
    const auto read = [](const fs::path& path) {
      std::ifstream in(path, std::ios::binary);
      return std::string(std::istreambuf_iterator<char>(in), {});
    };
    ran.out = read(out), ran.err = read(err);
    return ran;
  }

  fs::path folder_;
};

TEST_F(ExportedLog, IsWhatEvalReads) {
  run_gateway(1.0);
  const std::string file = (folder_ / "log.jsonl").string();
  const Ran exported = run(evaluation::run_export_outcomes_command, {"--data", (folder_ / "data").string(), "--out", file});
  ASSERT_EQ(exported.status, 0) << exported.err;
  EXPECT_NE(exported.err.find("120 outcomes written"), std::string::npos) << exported.err;

  // Every line holds what the two recorded models said.
  std::ifstream lines(file);
  simdjson::dom::parser parser;
  std::size_t rows = 0, agree = 0;
  for (std::string line; std::getline(lines, line); ++rows) {
    simdjson::dom::element root;
    ASSERT_EQ(parser.parse(line).get(root), simdjson::SUCCESS) << line;
    EXPECT_FALSE(std::string_view(root["prompt"]).empty());
    EXPECT_TRUE(bool(root["coin"]));
    EXPECT_EQ(double(root["coin_probability"]), 1.0);
    EXPECT_GT(double(root["strong_cost_usd"]), double(root["weak_cost_usd"]));
    EXPECT_LE(double(root["weak_logprob"]), 0.0);
    const bool same = std::string_view(root["weak_answer"]) == std::string_view(root["strong_answer"]);
    agree += same;
    EXPECT_EQ(bool(root["agrees"]), same) << line;
  }
  EXPECT_EQ(rows, kRequests);
  EXPECT_GT(agree, kRequests / 4);
  EXPECT_LT(agree, kRequests);

  const Ran guarantee = run(evaluation::run_eval_command, {"guarantee", file, "--json", "--bad", "disagree", "--splits", "20"});
  ASSERT_EQ(guarantee.status, 0) << guarantee.err;
  simdjson::dom::element root;
  ASSERT_EQ(parser.parse(guarantee.out).get(root), simdjson::SUCCESS) << guarantee.out;
  EXPECT_EQ(std::uint64_t(root["labelled_rows"]), kRequests);
  EXPECT_GT(double(root["feasible"]), 0.0);
  const Ran calibration = run(evaluation::run_eval_command, {"calibration", file, "--json"});
  ASSERT_EQ(calibration.status, 0) << calibration.err;
  EXPECT_NE(calibration.out.find("\"reference\":\"strong\""), std::string::npos) << calibration.out;
  const Ran frontier = run(evaluation::run_eval_command, {"frontier", file, "--json", "--fit", "random:60"});
  ASSERT_EQ(frontier.status, 0) << frontier.err;
  ASSERT_EQ(parser.parse(frontier.out).get(root), simdjson::SUCCESS);
  EXPECT_EQ(double(root["strong_accuracy"]), 1.0);
}

TEST_F(ExportedLog, RowsLabelledBecauseTheyWereUnsureJudgeNothing) {
  run_gateway(0.5);
  const std::string file = (folder_ / "log.jsonl").string();
  ASSERT_EQ(run(evaluation::run_export_outcomes_command, {"--data", (folder_ / "data").string(), "--out", file}).status, 0);
  const Ran guarantee = run(evaluation::run_eval_command, {"guarantee", file, "--json", "--bad", "disagree", "--splits", "5"});
  ASSERT_EQ(guarantee.status, 0) << guarantee.err;
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  ASSERT_EQ(parser.parse(guarantee.out).get(root), simdjson::SUCCESS);
  EXPECT_GT(std::uint64_t(root["escalated_rows_left_out"]), 10u);
  EXPECT_GT(std::uint64_t(root["labelled_rows"]), 30u);
  EXPECT_LT(std::uint64_t(root["labelled_rows"]), 90u);
}

TEST_F(ExportedLog, AFolderWithoutAStoreIsNamed) {
  const Ran ran = run(evaluation::run_export_outcomes_command, {"--data", (folder_ / "nothing").string()});
  EXPECT_EQ(ran.status, 2);
  EXPECT_NE(ran.err.find("nothing"), std::string::npos) << ran.err;
}

}  // namespace
}  // namespace understudy::app
