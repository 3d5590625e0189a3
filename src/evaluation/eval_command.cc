#include "evaluation/eval_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "base/json_writer.h"
#include "evaluation/plot_html.h"
#include "evaluation/protocols.h"

namespace understudy::evaluation {

namespace {

struct File {
  std::FILE* handle = nullptr;
  ~File() {
    if (handle != nullptr) std::fclose(handle);
  }
};

std::string decision_line(const Decision& d) {
  std::string line;
  JsonWriter json(line);
  const auto number = [&](const char* key, const std::optional<double>& value) {
    json.key(key);
    if (value) {
      json.number(*value);
    } else {
      json.null();
    }
  };
  json.begin_object().field("seed", d.seed).field("id", d.id);
  number("confidence", d.confidence);
  number("p_gain", d.p_gain);
  json.field("decision", d.decision);
  number("threshold", d.threshold);
  json.end_object();
  line += '\n';
  return line;
}

int refuse(std::FILE* err, std::string_view message) {
  fmt::print(err, "understudy eval: {}\n", message);
  return 2;
}

}  // namespace

Result<Report> run_protocol(const Outcomes& outcomes, const EvalOptions& options, const Sink& sink) {
  if (options.protocol == "frontier") return run_frontier(outcomes, options, sink);
  if (options.protocol == "guarantee") return run_guarantee(outcomes, options, sink);
  if (options.protocol == "calibration") return run_calibration(outcomes, options, sink);
  if (options.protocol == "stream") return run_stream(outcomes, options, sink);
  if (options.protocol == "judge") return run_judge(outcomes, options, sink);
  if (options.protocol == "fewshot") return run_fewshot(outcomes, options, sink);
  if (options.protocol == "deployments") return run_deployments({&outcomes, 1}, options, sink);
  return fail(ErrorKind::kUsage, fmt::format("unknown protocol \"{}\"; use frontier, guarantee, calibration, stream, judge, fewshot or deployments", options.protocol));
}

int run_eval_command(const std::vector<std::string>& arguments, std::FILE* out, std::FILE* err) {
  EvalOptions options;
  std::vector<std::string> paths;
  std::string use = "all", ignore, decisions_path, plot_path;
  bool as_json = false;
  std::size_t teacher_calls = 0;
  CLI::App app("What a cascade would do on recorded answers", "understudy eval");
  app.add_option("protocol", options.protocol, "frontier, guarantee, calibration, stream, judge, fewshot or deployments")->required();
  app.add_option("file", paths, "outcomes, one JSON object a line, plain or gzip; deployments takes several")->required();
  app.add_flag("--json", as_json, "print one JSON object");
  app.add_option("--use", use, "what may be looked at: query, answer or all")->check(CLI::IsMember({"query", "answer", "all"}))->capture_default_str();
  app.add_option("--ignore", ignore, "comma-separated fields to treat as not recorded (others: no peers)");
  app.add_option("--seed", options.seed, "first seed")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--fit", options.fit, "frontier, fewshot: rows to fit on, split:NAME or random:N");
  app.add_option("--seeds", options.seeds, "frontier, fewshot: number of draws")->capture_default_str();
  auto* alpha = app.add_option("--alpha", options.alpha, "guarantee, stream, deployments: most disagreement among served rows")->capture_default_str();
  app.add_option("--delta", options.delta, "guarantee, stream, judge, deployments: chance that the promise is broken")->capture_default_str();
  auto* calibration = app.add_option("--calibration", options.calibration, "guarantee, judge: calibration rows of a split (500; judge 250)")->check(CLI::NonNegativeNumber);
  auto* splits = app.add_option("--splits", options.splits, "guarantee, judge: random splits (200; judge 500)");
  app.add_option("--bad", options.bad, "guarantee, deployments: disagree or worse")->check(CLI::IsMember({"disagree", "worse"}));
  app.add_flag("--approximate", options.approximate, "guarantee, judge: cross-fitted scores, only approximately valid");
  app.add_option("--labels", options.labels, "calibration: labelled rows")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--draws", options.draws, "calibration: random draws")->capture_default_str();
  options.encoder = "auto";
  app.add_option("--encoder", options.encoder, "where prompts are read: auto (used where it is there), off, or a model's folder")->capture_default_str();
  app.add_option("--vectors", options.vectors, "a folder that keeps the encoder's vectors for the next run");
  app.add_option("--shuffles", options.shuffles, "stream: passes over the rows, each in another order (default: one in file order)")->check(CLI::Range(0, 1000));
  auto* calls = app.add_option("--teacher-calls", teacher_calls, "stream: number of teacher calls")->check(CLI::NonNegativeNumber);
  app.add_flag("--fine-tune", options.fine_tune, "stream with --teacher-calls: the encoder learns the labels too (needs the trainer; minutes)");
  app.add_option("--target", options.target, "judge: least agreement with gold")->capture_default_str();
  app.add_option("--deployments", options.deployments, "deployments: simulated ones for each scenario and file")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--requests", options.requests, "deployments: requests of each")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--scenario", options.scenario, "deployments: comma-separated names (all)");
  app.add_option("--decisions", decisions_path, "write one JSON line for each scored row");
  app.add_option("--plot", plot_path, "write an HTML page with the plots");

  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    fmt::print(out, "{}", app.help());
    return 0;
  } catch (const CLI::ParseError& e) {
    return refuse(err, e.what());
  }
  options.use = use == "query" ? Use::kQuery : use == "answer" ? Use::kAnswer : Use::kAll;
  options.alpha_given = alpha->count() > 0;
  if (calls->count() > 0) options.teacher_calls = teacher_calls;
  if (options.protocol == "judge") {
    if (calibration->count() == 0) options.calibration = 250;
    if (splits->count() == 0) options.splits = 500;
  }
  std::set<std::string> ignored;
  for (std::size_t at = 0; at < ignore.size();) {
    const std::size_t end = std::min(ignore.find(',', at), ignore.size());
    if (end > at) ignored.insert(ignore.substr(at, end - at));
    at = end + 1;
  }

  if (paths.size() > 1 && options.protocol != "deployments") return refuse(err, fmt::format("{} takes one file, got {}", options.protocol, paths.size()));
  std::vector<Outcomes> files;
  std::size_t rows = 0;
  for (const std::string& path : paths) {
    auto outcomes = read_outcomes(path, ignored);
    if (!outcomes) return refuse(err, outcomes.error().message);
    rows += outcomes->rows.size();
    files.push_back(std::move(*outcomes));
  }

  File decisions;
  if (!decisions_path.empty()) {
    decisions.handle = std::fopen(decisions_path.c_str(), "wb");
    if (decisions.handle == nullptr) return refuse(err, fmt::format("--decisions {}: cannot be opened for writing", decisions_path));
  }
  const bool terminal = !as_json && isatty(fileno(err));
  Sink sink;
  bool write_failed = false;
  if (decisions.handle != nullptr) {
    sink.decision = [&](const Decision& d) {
      const std::string line = decision_line(d);
      write_failed = write_failed || std::fwrite(line.data(), 1, line.size(), decisions.handle) != line.size();
    };
  }
  if (terminal) {
    sink.progress = [&](double share) {
      constexpr int kCells = 40;
      const int filled = static_cast<int>(share * kCells);
      fmt::print(err, "\r[{:=<{}}{: <{}}] {:3.0f} %", "", filled, "", kCells - filled, 100 * share);
      std::fflush(err);
    };
  }
  const auto report = options.protocol == "deployments" ? run_deployments(files, options, sink) : run_protocol(files.front(), options, sink);
  if (terminal) fmt::print(err, "\r{: <60}\r", "");
  if (!report) return refuse(err, report.error().message);
  if (decisions.handle != nullptr) {
    write_failed = std::fclose(decisions.handle) != 0 || write_failed;
    decisions.handle = nullptr;
    if (write_failed) return refuse(err, fmt::format("--decisions {}: could not be written completely", decisions_path));
  }
  if (!plot_path.empty()) {
    const std::string html = plots_as_html(fmt::format("understudy eval {}", options.protocol), report->plots);
    File plot{std::fopen(plot_path.c_str(), "wb")};
    if (plot.handle == nullptr || std::fwrite(html.data(), 1, html.size(), plot.handle) != html.size()) {
      return refuse(err, fmt::format("--plot {}: cannot be written", plot_path));
    }
  }
  if (!as_json) {
    fmt::print(out, "{}", report->human);
    return 0;
  }
  std::string text;
  JsonWriter json(text);
  json.begin_object().field("schema", "understudy.eval/1").field("protocol", options.protocol).field("file", fmt::format("{}", fmt::join(paths, ",")))
      .field("rows", rows).field("seed", options.seed).field("use", use);
  json.end_object();
  text.pop_back();
  fmt::print(out, "{},{}}}\n", text, report->json);
  return 0;
}

}  // namespace understudy::evaluation
