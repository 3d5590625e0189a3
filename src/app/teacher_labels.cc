#include "app/teacher_labels.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <iostream>

#include "app/config_sections.h"
#include "app/human.h"
#include "app/model_spec.h"
#include "app/output.h"
#include "app/terminal.h"
#include "app/train_support.h"
#include "chat/price_book.h"
#include "net/url.h"

namespace understudy::app {
namespace {

using labelling::AskEnd;
using labelling::AskProgress;

bool on_terminal() { return ::isatty(STDERR_FILENO) == 1; }

void show_asking(const AskProgress& p) {
  if (!on_terminal()) return;
  std::string money = human_usd(p.spent.value);
  if (p.budget) money += fmt::format(" of {}, {} left", human_usd(p.budget->value), human_usd(std::max<std::int64_t>(0, p.budget->value - p.spent.value)));
  const std::string left = p.seconds_left ? ", " + human_duration(static_cast<std::int64_t>(*p.seconds_left * 1e6)) + " left" : "";
  const double share = p.rows == 0 ? 1 : static_cast<double>(p.done) / static_cast<double>(p.rows);
  fmt::print(stderr, "\r\x1b[K{} labels {}/{}, {}{}", progress_bar(share, 30), p.done, p.rows, money, left);
}

labelling::PriceOf price_from(std::shared_ptr<const CallPrices> fixed) {
  return [fixed](const Usage& usage) { return fixed->cost(usage); };
}

Result<std::optional<Picousd>> read_budget(const std::string& text) {
  if (text.empty()) return std::optional<Picousd>();
  auto amount = parse_decimal(text, kPicousdPerUsd);
  if (!amount || amount->value < 0) return fail(ErrorKind::kUsage, fmt::format("--budget-usd: '{}' is no amount in USD, such as 2.50", text));
  return std::optional(*amount);
}

/// "2,000 rows" with what is there already.
std::string plan_text(const labelling::CostPlan& plan, std::size_t wanted, const Teacher& teacher, const labelling::LabelFile& file) {
  std::string out = fmt::format("{} to ask {} about in {} ({} of {} have an answer in {})\n", counted(static_cast<std::int64_t>(plan.rows), "row"), teacher.config.upstream_model,
                                counted(static_cast<std::int64_t>(plan.calls), "call"), human_count(static_cast<std::int64_t>(wanted - plan.rows)),
                                human_count(static_cast<std::int64_t>(wanted)), file.path().string());
  out += fmt::format("about {} tokens in and {} out: ", human_count(plan.usual.input), human_count(plan.usual.output));
  if (plan.usually && plan.most) {
    out += fmt::format("about {}, at most {} ({})", human_usd(plan.usually->value), human_usd(plan.most->value), teacher.price_text);
  } else {
    out += fmt::format("the price of {} is not known, so neither is the cost; --price-input and --price-output tell it", teacher.config.upstream_model);
  }
  if (teacher.budget) out += fmt::format("; budget {}, of which {} is spent", human_usd(teacher.budget->value), human_usd(file.stored().spent.value));
  return out + "\n";
}

std::string report_text(const labelling::AskReport& report, const labelling::LabelFile& file, const std::string& model) {
  const auto& stored = file.stored();
  std::string out = fmt::format("{} labelled by {}: {} now, {} before", counted(static_cast<std::int64_t>(report.labelled + report.stored), "row"), model,
                                human_count(static_cast<std::int64_t>(report.labelled)), human_count(static_cast<std::int64_t>(report.stored)));
  if (report.failed > 0) out += fmt::format("; {} without a usable answer, asked twice (--ask-again asks once more)", human_count(static_cast<std::int64_t>(report.failed)));
  if (report.left > 0) out += fmt::format("; {} not asked{}", human_count(static_cast<std::int64_t>(report.left)), report.end == AskEnd::kBudget ? ": the next call could have passed the budget" : "");
  out += fmt::format("\n{} in all, {} tokens in and {} out, {}", stored.unpriced > 0 && stored.spent.value == 0 ? "cost unknown" : human_usd(stored.spent.value), human_count(stored.input_tokens),
                     human_count(stored.output_tokens), counted(static_cast<std::int64_t>(stored.calls), "call"));
  if (stored.unpriced > 0 && stored.spent.value > 0) out += fmt::format(" ({} of unknown cost)", stored.unpriced);
  if (stored.unsettled > 0) out += fmt::format(" ({} of which never ended; what was set aside for them counts as spent)", stored.unsettled);
  out += '\n';
  for (const auto& row : report.examples) out += fmt::format("  {}: {}\n", printable(row.id), printable(row.why));
  return out;
}

}  // namespace

void add_teacher_choice(CLI::App& cli, TeacherChoice& c) {
  cli.add_option("--teacher", c.model, "Model that is asked for labels: PROVIDER:MODEL or URL#MODEL, as for serve")->type_name("MODEL");
  cli.add_option("--teacher-key-env", c.key_env, "Environment variable that holds its key (default: the provider's usual one)")->type_name("NAME");
  cli.add_option("--price-input", c.price_input, "USD per 1M tokens that it reads (default: the price book)")->type_name("USD");
  cli.add_option("--price-output", c.price_output, "USD per 1M tokens that it writes")->type_name("USD");
  cli.add_option("--budget-usd", c.budget, "No call is made that could bring the cost, earlier runs of the same label file included, above this")->type_name("USD");
  cli.add_option("--batch", c.rows_a_call, "Rows that one call asks about, at most")->check(CLI::Range(std::size_t{1}, std::size_t{100}))->capture_default_str();
  cli.add_option("--concurrency", c.calls_at_once, "Calls under way at once, at most")->check(CLI::Range(std::size_t{1}, std::size_t{64}))->capture_default_str();
  cli.add_flag("--ask-again", c.ask_again, "Also rows that an earlier run got no usable answer for");
  cli.add_flag("--yes", c.yes, "Spend it without asking");
}

Result<Teacher> choose_teacher(const TeacherChoice& c, const Environment& environment) {
  APP_TRY(spec, parse_model_spec(c.model));
  APP_TRY(budget, read_budget(c.budget));
  Teacher out;
  out.budget = budget;
  out.config.name = "teacher";
  out.config.provider = spec.provider;
  out.config.url = spec.url;
  out.config.upstream_model = spec.model;
  if (const auto url = net::parse_url(spec.url); !url) return fail(ErrorKind::kUsage, fmt::format("--teacher: {}", url.error().message));
  if (const std::string variable = c.key_env.empty() ? spec.key_env : c.key_env; !variable.empty()) {
    const auto secret = environment(variable);
    if (!secret || secret->empty()) return fail(ErrorKind::kUsage, fmt::format("the environment variable {} is not set: it must hold the teacher's key (--teacher-key-env names another)", variable));
    out.config.key = *secret;
  }
  if (c.price_input.empty() != c.price_output.empty()) return fail(ErrorKind::kUsage, "--price-input and --price-output go together");
  if (!c.price_input.empty()) {
    auto prices = make_prices(c.price_input, c.price_output);
    if (!prices) return fail(ErrorKind::kUsage, fmt::format("--price-input, --price-output: {}", prices.error().message));
    out.price = price_from(std::make_shared<CallPrices>(*prices));
    out.price_text = fmt::format("{} and {} USD per 1M tokens", c.price_input, c.price_output);
  } else if (const ModelPrices* listed = PriceBook::embedded().find(spec.provider == "custom" ? "" : spec.provider, spec.model)) {
    out.price = [listed](const Usage& usage) -> std::optional<Picousd> {
      const auto prices = listed->prices(system_clock().wall(), usage.input);
      return prices ? prices->cost(usage) : std::nullopt;
    };
    out.price_text = fmt::format("the price book's {}", listed->id);
  } else {
    out.price = [](const Usage&) { return std::optional<Picousd>(); };
  }
  if (out.budget && !out.price(Usage{1, 0, 0, 0, 1, 0, false})) {
    return fail(ErrorKind::kUsage, fmt::format("--budget-usd: the price of {} is not known; tell it by --price-input and --price-output (USD per 1M tokens)", spec.model));
  }
  return out;
}

Result<TeacherLabels> TeacherLabels::open(TeacherRows rows, labelling::Question question, Teacher teacher, const TeacherChoice& choice, const std::string& asked_file) {
  auto file = labelling::LabelFile::open(asked_file);
  if (!file) return fail(std::move(file.error()));
  return TeacherLabels(std::move(rows), std::move(question), std::move(teacher), choice, std::move(*file));
}

std::vector<std::string> TeacherLabels::keys() const {
  std::vector<std::string> out;
  for (const auto& row : rows_.rows) out.push_back(labelling::key_of(question_, teacher_.config.upstream_model, row));
  return out;
}

std::vector<std::size_t> TeacherLabels::sample(std::size_t most, std::uint64_t seed) const { return labelling::sample_rows(keys(), rows_.groups, most, seed); }

std::vector<std::size_t> TeacherLabels::sample_single_rows(std::size_t most, std::uint64_t seed) const { return labelling::sample_rows(keys(), {}, most, seed); }

labelling::AskOptions TeacherLabels::options() const {
  labelling::AskOptions options;
  options.rows_a_call = choice_.rows_a_call;
  options.calls_at_once = choice_.calls_at_once;
  options.budget = teacher_.budget;
  options.ask_again = choice_.ask_again;
  options.progress = show_asking;
  return options;
}

Result<void> TeacherLabels::confirm(std::span<const std::size_t> places) const {
  const std::string& model = teacher_.config.upstream_model;
  const auto batches = labelling::calls_to_make(question_, rows_.rows, places, model, file_, options());
  const auto plan = labelling::plan_cost(question_, model, rows_.rows, batches, teacher_.price);
  print_error(plan_text(plan, places.size(), teacher_, file_));
  if (choice_.yes || plan.calls == 0) return {};
  if (::isatty(STDIN_FILENO) == 1 && on_terminal()) {
    fmt::print(stderr, "Go on? [y/N] ");
    std::string answer;
    std::getline(std::cin, answer);
    if (answer != "y" && answer != "Y" && answer != "yes") return fail(ErrorKind::kCancelled, "not confirmed: nobody was asked");
  } else if (!plan.usually) {
    return fail(ErrorKind::kUsage, fmt::format("what {} costs is not known: --yes asks it all the same, --price-input and --price-output tell the price", model));
  } else if (!teacher_.budget) {
    return fail(ErrorKind::kUsage, "without a terminal to confirm it, --budget-usd (what may be spent) or --yes is needed");
  }
  return {};
}

Result<labelling::AskReport> TeacherLabels::ask(std::span<const std::size_t> places, std::stop_token stop) {
  const std::string& model = teacher_.config.upstream_model;
  labelling::AskOptions how = options();
  how.stop = stop;
  auto report = labelling::ask_teacher(question_, rows_.rows, places, teacher_.config, teacher_.price, file_, how);
  end_progress();
  if (!report) {
    Error error = std::move(report.error());
    error.message += fmt::format("; what was labelled is kept in {}, and the same command goes on from there", file_.path().string());
    return fail(std::move(error));
  }
  if (report->end == AskEnd::kStopped && stop.stop_requested()) {
    return fail(ErrorKind::kCancelled, fmt::format("stopped: {} of {} have an answer; the same command goes on from there", human_count(static_cast<std::int64_t>(places.size() - report->left)),
                                                   counted(static_cast<std::int64_t>(places.size()), "row")));
  }
  if (report->end == AskEnd::kStopped) {
    return fail(ErrorKind::kUpstreamUnreachable, fmt::format("{} could not be asked about, though others could; the same command asks again", counted(static_cast<std::int64_t>(report->left), "row")));
  }
  print_error(report_text(*report, file_, model));
  return report;
}

std::optional<labelling::Verdict> TeacherLabels::verdict(std::size_t place) const {
  const auto* stored = file_.find(labelling::key_of(question_, teacher_.config.upstream_model, rows_.rows[place]));
  return stored == nullptr ? std::nullopt : stored->verdict;
}

std::string TeacherLabels::labelled(std::span<const std::size_t> places, std::size_t& count) const {
  std::vector<std::size_t> order(places.begin(), places.end());
  std::sort(order.begin(), order.end());  // as in the file, whatever the order in which they were drawn
  std::string out;
  count = 0;
  for (const std::size_t i : order) {
    const auto said = verdict(i);
    if (!said) continue;
    out += labelled_row(rows_, i, *said, teacher_.config.upstream_model);
    ++count;
  }
  return out;
}

Result<void> write_whole(const std::string& path, std::string_view text) {
  const std::string part = path + ".part";
  const auto io = [&](std::string_view what) { return fail(ErrorKind::kIo, fmt::format("{} cannot be {}: {}", part, what, std::strerror(errno))); };
  const int fd = ::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return io("made");
  bool good = true;
  while (good && !text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    good = n >= 0;
    if (good) text.remove_prefix(static_cast<std::size_t>(n));
  }
  good = good && ::fsync(fd) == 0;
  if (!good) {
    auto error = io("written");
    ::close(fd);
    return error;
  }
  ::close(fd);
  if (::rename(part.c_str(), path.c_str()) != 0) return fail(ErrorKind::kIo, fmt::format("{} cannot be written: {}", path, std::strerror(errno)));
  return {};
}

}  // namespace understudy::app
