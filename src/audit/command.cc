#include "audit/command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <mutex>

#include "audit/gateway_source.h"
#include "audit/report.h"
#include "audit/store_source.h"
#include "base/clock.h"
#include "base/time_format.h"

namespace understudy::audit {
namespace {

constexpr int kDone = 0, kGateFailed = 1, kBadInput = 2, kIncomplete = 3;

constexpr const char* kFooter = R"(Examples:
  understudy audit traces.jsonl                       a report for people
  understudy audit logs/*.jsonl.zst --html report.html
  understudy audit spend_logs.csv --format litellm --json | jq .verdict
  understudy audit trace.jsonl --prices our_prices.json --bill costs_page.json
  understudy audit week.jsonl --fail-on confirmed     exit status 1 where the verdict is that bad (CI)
  cat spans.json | understudy audit -

Formats (found by themselves): plain JSONL or CSV, otlp, openinference, langfuse, litellm, helicone, tensorzero, portkey,
openai-usage, openai-costs, anthropic-usage, anthropic-cost, aws-cur, bedrock. Plain, .gz or .zst.
Exit status: 0 done, 1 --fail-on reached, 2 bad usage or unreadable input, 3 over 1 % of tokens without a price.
Nothing leaves this machine: the audit never uses the network.)";

struct Arguments {
  std::vector<std::string> traces;
  std::string format = "auto", html, prices, steps, write_steps, specialize, bill, fail_on, now, from, cost = "book", key_env = "UNDERSTUDY_ADMIN_KEY";
  bool json = false, weekly = false, cached_inside = false, cached_outside = false, no_colour = false;
  std::int64_t min_calls = 200, users = 0, requests_per_user = 0;
  int threads = 0;
  double escalation = 0.3, lessons = 0.5;
};

Result<std::string> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(ErrorKind::kUsage, fmt::format("cannot open {}", path));
  std::string text{std::istreambuf_iterator<char>(in), {}};
  if (in.bad()) return fail(ErrorKind::kUsage, fmt::format("cannot read {}", path));
  return text;
}

/// A line on standard error that is redrawn, from the second second on.
class Progress {
 public:
  Progress(std::ostream& err, bool on) : err_(err), on_(on), start_(system_clock().mono()), last_(start_) {}
  /// `total_bytes` is 0 where it is not known (a pipe).
  void step(std::uint64_t bytes, std::uint64_t total_bytes) {
    if (!on_) return;
    const MonoTime now = system_clock().mono();
    const std::lock_guard lock(mutex_);
    if (now < start_.plus_ms(1000) || now < last_.plus_ms(200)) return;
    last_ = now;
    const double seconds = static_cast<double>(now.ns - start_.ns) * 1e-9;
    std::string bar;
    if (total_bytes > 0) {
      const double share = std::min(1.0, static_cast<double>(bytes) / static_cast<double>(total_bytes));
      const auto full = static_cast<std::size_t>(share * kBarWidth);
      bar = fmt::format("[{}{}] {:3.0f} %  ", std::string(full, '#'), std::string(kBarWidth - full, '.'), share * 100);
    }
    err_ << fmt::format("\r\x1b[K  {}{:.0f} MB read, {:.0f} MB/s", bar, static_cast<double>(bytes) * 1e-6, static_cast<double>(bytes) * 1e-6 / seconds)
         << std::flush;
    shown_ = true;
  }
  void finish() {
    if (shown_) err_ << "\r\x1b[K" << std::flush;
  }

 private:
  static constexpr std::size_t kBarWidth = 30;
  std::ostream& err_;
  bool on_;
  MonoTime start_, last_;
  bool shown_ = false;
  std::mutex mutex_;
};

void declare(CLI::App& app, Arguments& a) {
  app.footer(kFooter);
  app.add_option("traces", a.traces, "files, directories, globs, or - for standard input")->type_name("TRACES");
  app.add_option("--from", a.from, "a gateway's own log instead of files: its data directory (also while it runs), or its address")->type_name("DIR|URL");
  app.add_option("--key-env", a.key_env, "with --from URL: the environment variable that holds an admin key")->capture_default_str();
  app.add_option("--format", a.format, "the traces' format; found by itself otherwise");
  app.add_flag("--json", a.json, "one JSON object on standard output (schema understudy.audit/1)");
  app.add_option("--html", a.html, "also write a self-contained page")->type_name("FILE");
  app.add_flag("--weekly", a.weekly, "show every week in the text");
  app.add_option("--prices", a.prices, "a price book put over the embedded one")->type_name("FILE");
  app.add_option("--cost", a.cost, "price by the book, or take the logged costs (a gateway's own log: logged)")->check(CLI::IsMember({"book", "logged"}));
  app.add_option("--steps", a.steps, "aliases of steps, and corrections of inferred ones")->type_name("FILE");
  app.add_option("--write-steps", a.write_steps, "write the inferred steps there, to correct and pass back")->type_name("FILE");
  app.add_option("--specialize", a.specialize, "what each step would run on")->type_name("FILE");
  app.add_option("--bill", a.bill, "reconcile with a bill (cost pages, CUR lines)")->type_name("FILE");
  app.add_option("--fail-on", a.fail_on, "exit 1 where the verdict is at or above this")->check(CLI::IsMember({"suspect", "confirmed"}));
  app.add_option("--users", a.users, "projection: users")->check(CLI::Range(std::int64_t{0}, std::int64_t{1'000'000'000}));
  app.add_option("--requests-per-user", a.requests_per_user, "projection: requests of each")->check(CLI::Range(std::int64_t{0}, std::int64_t{1'000'000}));
  app.add_option("--escalation", a.escalation, "projection: share of calls a cascade escalates")->check(CLI::Range(0.0, 1.0))->capture_default_str();
  app.add_option("--lesson-factor", a.lessons, "projection: share of those left after lessons")->check(CLI::Range(0.0, 1.0))->capture_default_str();
  app.add_option("--min-calls", a.min_calls, "weeks with fewer priced calls raise no alarm")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--now", a.now, "the present time (its week is partial)")->type_name("TIME");
  auto* inside = app.add_flag("--cached-inside", a.cached_inside, "cached tokens are part of the input figure");
  app.add_flag("--cached-outside", a.cached_outside, "cached tokens come on top of the input figure")->excludes(inside);
  app.add_option("--threads", a.threads, "workers; 0 is one a core")->check(CLI::Range(0, 256));
  app.add_flag("--no-colour", a.no_colour, "plain text");
}

/// `--from`: a data directory, or a gateway's address.
Result<std::unique_ptr<RecordSource>> open_own_log(const Arguments& a) {
  if (!a.from.starts_with("http://") && !a.from.starts_with("https://")) return open_store_source(a.from);
  const char* key = std::getenv(a.key_env.c_str());
  return open_gateway_source(a.from, key != nullptr ? key : "");
}

struct Prepared {
  PriceBook book;
  StepNames names;
  EngineOptions engine;
  FigureOptions figures;
};

Result<Prepared> prepare(const Arguments& a) {
  Prepared p;
  p.book = PriceBook::embedded();
  if (!a.prices.empty()) {
    auto text = read_file(a.prices);
    if (!text) return fail(std::move(text.error()));
    auto user = PriceBook::parse(*text, a.prices.substr(a.prices.rfind('/') + 1));
    if (!user) return fail(std::move(user.error()));
    p.book = user->over(PriceBook::embedded());
  }
  if (!a.steps.empty()) {
    auto text = read_file(a.steps);
    if (!text) return fail(std::move(text.error()));
    auto names = StepNames::parse(*text, a.steps);
    if (!names) return fail(std::move(names.error()));
    p.names = std::move(*names);
  }
  if (!a.specialize.empty()) {
    auto text = read_file(a.specialize);
    if (!text) return fail(std::move(text.error()));
    auto targets = parse_targets(*text, a.specialize, p.book);
    if (!targets) return fail(std::move(targets.error()));
    p.figures.targets = std::move(*targets);
  }
  const auto format = format_of_name(a.format);
  if (!format) {
    std::string known;
    for (const FormatInfo& f : formats()) known += (known.empty() ? "" : ", ") + std::string(f.name);
    return fail(ErrorKind::kUsage, fmt::format("--format {} is not known; the formats are {}", a.format, known));
  }
  p.engine.format = *format;
  if (a.cached_inside) p.engine.adapter.cached_inside = true;
  if (a.cached_outside) p.engine.adapter.cached_inside = false;
  p.engine.cost = a.cost == "logged" ? CostChoice::kLogged : CostChoice::kBook;
  p.engine.threads = a.threads;
  p.engine.by_day = !a.bill.empty();
  p.engine.now = system_clock().wall();
  if (!a.now.empty()) {
    auto now = parse_rfc3339(a.now);
    if (!now) return fail(ErrorKind::kUsage, "--now: " + now.error().message);
    p.engine.now = *now;
  }
  p.figures.now = p.engine.now;
  p.figures.min_calls = a.min_calls;
  p.figures.users = a.users;
  p.figures.requests_per_user = a.requests_per_user > 0 ? a.requests_per_user : 30;
  p.figures.escalation = a.escalation;
  p.figures.lessons = a.lessons;
  p.figures.reconcile = !a.bill.empty();
  return p;
}

Result<bool> write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (!file) return fail(ErrorKind::kUsage, fmt::format("cannot write {}", path));
  return true;
}

}  // namespace

int run_audit_command(int argc, const char* const* argv, std::ostream& out, std::ostream& err, const CommandEnvironment& environment) {
  Arguments a;
  CLI::App app("Where the money goes: which part of the bill pays a frontier model for work that a small specialist could do.");
  declare(app, a);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e, out, err) == 0 ? kDone : kBadInput;
  }
  const auto refuse = [&](const Error& error) {
    err << "understudy audit: " << error.message << "\n";
    return kBadInput;
  };
  // A gateway logged what its own configuration says a call costs; a book does not know models of one's own.
  if (!a.from.empty() && app.count("--cost") == 0) a.cost = "logged";
  auto prepared = prepare(a);
  if (!prepared) return refuse(prepared.error());
  if (a.traces.empty() == a.from.empty()) {
    return refuse(Error(ErrorKind::kUsage, a.from.empty() ? "name the traces to read (files, directories, globs, - for standard input), or --from DIR|URL"
                                                          : "give either traces or --from, not both"));
  }
  Progress progress(err, environment.stderr_is_terminal);
  prepared->engine.progress = [&](std::uint64_t bytes, std::uint64_t total_bytes) { progress.step(bytes, total_bytes); };
  const auto read = [&]() -> Result<std::unique_ptr<Ledger>> {
    if (a.from.empty()) return read_traces(a.traces, prepared->book, prepared->names, prepared->engine);
    auto source = open_own_log(a);
    if (!source) return fail(std::move(source.error()));
    return read_source(**source, prepared->book, prepared->names, prepared->engine);
  };
  auto ledger = read();
  progress.finish();
  if (!ledger) return refuse(ledger.error());
  if (!a.bill.empty()) {
    if (auto bill = read_bill(a.bill, prepared->engine, **ledger); !bill) return refuse(bill.error());
  }
  const Report report = compute_figures(**ledger, prepared->figures, prepared->engine.cost);
  for (const auto& [path, text] : {std::pair{a.html, a.html.empty() ? std::string() : report_html(report)},
                                   std::pair{a.write_steps, a.write_steps.empty() ? std::string() : guesses_json(report)}}) {
    if (path.empty()) continue;
    if (auto written = write_file(path, text); !written) return refuse(written.error());
  }
  if (a.json) {
    out << report_json(report);
  } else {
    out << report_text(report, {.colour = environment.colour && !a.no_colour, .weekly = a.weekly});
  }
  out.flush();
  if (report.too_much_unpriced()) return kIncomplete;
  const bool confirmed = report.verdict == "confirmed";
  if ((a.fail_on == "confirmed" && confirmed) || (a.fail_on == "suspect" && (confirmed || report.verdict == "suspect"))) return kGateFailed;
  return kDone;
}

}  // namespace understudy::audit
