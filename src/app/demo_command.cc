#include "app/demo_command.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "app/command.h"
#include "app/command_line.h"
#include "app/curve.h"
#include "app/curve_text.h"
#include "app/demo_run.h"
#include "app/output.h"
#include "base/json_writer.h"

namespace understudy::app {
namespace {

volatile std::sig_atomic_t interrupted = 0;
void on_interrupt(int) { interrupted = 1; }

constexpr std::size_t kFastRate = 400, kShortFastRate = 200;   // requests a second: learning is real work, whatever the upstreams' latency

double share(std::int64_t part, std::size_t whole) { return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole); }

void write_figures(JsonWriter& w, const DemoBlock& block) {
  w.key("served_by").begin_object();
  for (std::size_t i = 0; i < kStageCount; ++i) w.field(kStageNames[i], block.served_by[i]);
  w.end_object();
  w.field("student_not_recorded", block.student_missing);
  w.key("teacher_share").fixed(share(block.teacher_calls, block.requests()), 6).key("agreement");
  if (block.cheap > 0) {
    w.fixed(static_cast<double>(block.cheap_agree) / static_cast<double>(block.cheap), 6);
  } else {
    w.null();
  }
  w.key("cost_usd");
  if (block.cost_unknown == 0) {
    w.raw(format_usd(block.cost.value, 9));
  } else {
    w.null();
  }
  w.key("teacher_only_usd").raw(format_usd(block.teacher_only.value, 9));
}

std::string json_report(std::size_t requests, const std::vector<DemoBlock>& blocks, const DemoBlock& total) {
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("schema", "understudy.demo/1").field("requests", requests).key("blocks").begin_array();
  for (const DemoBlock& block : blocks) {
    w.begin_object().field("from", block.from).field("to", block.to);
    write_figures(w, block);
    w.end_object();
  }
  w.end_array().key("total").begin_object().field("from", total.from).field("to", total.to);
  write_figures(w, total);
  w.end_object().end_object();
  return out + "\n";
}

void print_row(const std::string& name, const DemoBlock& block) {
  const auto served = [&](Stage stage) { return block.served_by[static_cast<std::size_t>(stage)]; };
  const std::string agreement =
      block.cheap > 0 ? fmt::format("{:.1f} %", 100.0 * static_cast<double>(block.cheap_agree) / static_cast<double>(block.cheap)) : "-";
  const Int128 saved = block.teacher_only.value - block.cost.value;
  fmt::print("{:>11} {:>6} {:>6} {:>10} {:>8} {:>8}  {:>10.1f} %  {:>10}  {:>9}  {:>12}  {:>6.1f} %\n", name, served(Stage::kCache), served(Stage::kKnn), served(Stage::kSpecialist), served(Stage::kStudent), served(Stage::kTeacher),
             100.0 * share(block.teacher_calls, block.requests()), agreement, "$" + format_usd(block.cost.value, 4), "$" + format_usd(block.teacher_only.value, 4),
             block.teacher_only.value == 0 ? 0.0 : 100.0 * static_cast<double>(saved) / static_cast<double>(block.teacher_only.value));
  std::fflush(stdout);
}

void print_intro(const DemoData& data, const DemoRun& run, bool fast) {
  const auto missing = std::count_if(data.requests.begin(), data.requests.end(), [](const DemoRequest& r) { return !r.recorded; });
  const std::string recorded =
      missing == 0 ? "" : fmt::format(";\n           {} of the messages are not in its recording: its upstream says 404, and the stage is skipped", missing);
  fmt::print(
      "understudy demo: {} real customer messages of a bank (BANKING77, CC BY 4.0), one question each: which intent is it?\n"
      "  student  {}: its answers and token logprobs were recorded from the real model; costed at the price of {}{}\n"
      "  teacher  the data set's own labels in JSON, standing for a strong model; costed at the price of {}\n"
      "  Both are replayed by separate processes over HTTP{}. The gateway is at http://{}/v1.\n"
      "  knn and specialist learn from the teacher's answers as they come: the nearest messages' vote, and a small text classifier.\n"
      "  Promise: at most {} % of what cheap stages serve disagrees with the teacher, at confidence {} %. While the task is new the\n"
      "  teacher answers everything and the others are compared, until a threshold is proven; spot checks go on after that.\n\n",
      data.requests.size(), data.student_model, data.student_price_model, recorded, data.teacher_price_model, fast ? " without their recorded latency" : " with their recorded latency",
      run.address(), 100 * kDemoAlpha, 100 * (1 - kDemoDelta));
  fmt::print("{:>11} {:>6} {:>6} {:>10} {:>8} {:>8}  {:>12}  {:>10}  {:>9}  {:>12}  {:>8}\n", "requests", "cache", "knn", "specialist", "student", "teacher", "teacher calls", "agreement", "cost",
             "teacher only", "saved");
}

/// What `understudy status --task ticket_intent` draws; "" where it cannot be read.
std::string curve_of(const DemoRun& run) {
  auto reader = store::StoreReader::open(run.data_directory());
  if (!reader) return {};
  store::CurveQuery query;
  query.task = "ticket_intent";
  query.by_requests = true;
  const auto curves = read_curves(*reader, query);
  return curves && !curves->empty() ? curve_text(curves->front(), stdout_style()) : std::string();
}

int demo(DemoOptions options, const std::string& recordings, bool only_recorded, bool json) {
  auto folder = find_demo_data(recordings);
  if (!folder) return report_error("understudy demo", folder.error(), json);
  auto data = load_demo_data(*folder, !only_recorded);
  if (!data) return report_error("understudy demo", data.error(), json);
  std::signal(SIGINT, on_interrupt);
  std::signal(SIGTERM, on_interrupt);
  std::signal(SIGPIPE, SIG_IGN);
  auto run = DemoRun::start(*data, options);
  if (!run) return report_error("understudy demo", run.error(), json);
  if (!json) print_intro(*data, **run, options.fast);

  std::vector<DemoBlock> blocks;
  DemoBlock total;
  total.from = 1;
  total.to = data->requests.size();
  const bool terminal = !json && isatty(STDERR_FILENO) == 1;
  auto sent = (*run)->send(
      [&](std::size_t done) {
        if (terminal) fmt::print(stderr, "\r  {} of {} ", done, data->requests.size());
      },
      [&](const DemoBlock& block) {
        blocks.push_back(block);
        total.add(block);
        if (terminal) fmt::print(stderr, "\r\033[K");
        if (json) return;
        print_row(fmt::format("{}-{}", block.from, block.to), block);
        if (const auto news = (*run)->promise_news()) {
          for (const std::string& line : *news) fmt::print("             {}\n", line);
        }
      },
      [] { return interrupted != 0; });
  if (!sent) return report_error("understudy demo", sent.error(), json);
  if (!*sent) {
    fmt::print(stderr, "\nstopped before all requests were sent\n");
    return kExitIncomplete;
  }
  if (json) return print_output(json_report(data->requests.size(), blocks, total));
  print_row("all", total);
  if (total.student_missing > 0) fmt::print("\nThe student was asked {} times for an answer that its recording does not hold; nothing was charged for that.\n", total.student_missing);
  if (const std::string curve = curve_of(**run); !curve.empty()) fmt::print("\n{}", curve);
  fmt::print(
      "\nagreement: of the answers that a cheap stage gave, how many equal the teacher's. teacher calls: for any reason, spot checks included.\n"
      "\nTry next, with your own models (keys from OPENAI_API_KEY):\n"
      "  understudy serve --student ollama:llama3.2 --teacher openai:gpt-4o\n"
      "then point your application's base_url at http://127.0.0.1:8080/v1 and look at `understudy tasks` and `understudy status`.\n");
  if (isatty(STDOUT_FILENO) == 1 && isatty(STDIN_FILENO) == 1) {
    fmt::print(
        "\nThe demo's gateway stays up until Ctrl-C:\n"
        "  understudy tasks show ticket_intent --data {0}\n  understudy status --data {0}\n  understudy explain {2} --data {0}\n  http://{1}/ in a browser\n  curl -s http://{1}/metrics | head\n",
        (*run)->data_directory(), (*run)->address(), data->requests.front().id);
    std::fflush(stdout);
    while (interrupted == 0) pause();
    fmt::print("\n");
  }
  return kExitDone;
}

}  // namespace

int run_demo_command(int argc, char** argv) {
  DemoOptions options;
  std::string recordings;
  bool json = false;
  CLI::App cli{"The whole loop on real recorded data in about a minute and a half: two recorded upstreams, the gateway, 13,071 requests, the falling bill."};
  cli.footer("Examples:\n  understudy demo\n  understudy demo --short\n  understudy demo --fast --json\n");
  cli.add_option("--port", options.port, "Port of the demo's gateway (default: the system chooses)");
  cli.add_flag("--fast", options.fast, "Without the recorded latency; the stream then goes at 400 requests a second, the short one at 200");
  cli.add_option("--recordings", recordings, "Folder with the recordings (default: data/demo)");
  bool only_recorded = false;
  cli.add_flag("--short", only_recorded, "Only the 3,000 messages that the student was recorded on");
  cli.add_flag("--json", json, "One JSON object (understudy.demo/1) instead of the table");
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  if (options.fast) options.rate = only_recorded ? kShortFastRate : kFastRate;
  return demo(options, recordings, only_recorded, json);
}

}  // namespace understudy::app
