#include "app/escalations_export.h"

#include <fmt/format.h>
#include <simdjson.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>

#include "app/command.h"
#include "app/gateway_client.h"
#include "app/human.h"
#include "app/list_arguments.h"
#include "app/output.h"
#include "app/queries.h"

namespace understudy::app {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kPageRequests = 500;

struct ExportArguments : ListArguments {
  std::string out;
  bool resume = false;
  std::uint64_t most = 0;  ///< 0: all
};

/// What a line says of its place; nullopt where it is none of ours.
struct LineEnd {
  std::string after, time;
};
std::optional<LineEnd> line_end(std::string_view line) {
  simdjson::dom::parser parser;
  simdjson::dom::object object;
  std::string_view after, time;
  if (parser.parse(line.data(), line.size()).get_object().get(object) || object["after"].get_string().get(after) || object["time"].get_string().get(time)) return std::nullopt;
  return LineEnd{std::string(after), std::string(time)};
}

/// Where an earlier run stopped: behind the last whole line of the file.
struct Stopped {
  std::uintmax_t bytes = 0;           ///< of whole lines
  std::optional<std::string> after;   ///< nullopt: there is none
};
Result<Stopped> find_end(const std::string& path) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in) return fail(ErrorKind::kIo, fmt::format("--out {}: cannot be read", path));
  const auto size = static_cast<std::uintmax_t>(in.tellg());
  for (std::uintmax_t window = std::min<std::uintmax_t>(size, 64 * 1024);; window = std::min(size, window * 2)) {
    std::string end(window, '\0');
    in.seekg(static_cast<std::streamoff>(size - window));
    in.read(end.data(), static_cast<std::streamsize>(window));
    if (!in) return fail(ErrorKind::kIo, fmt::format("--out {}: cannot be read", path));
    const std::size_t last = end.rfind('\n');
    const std::size_t before = last == std::string::npos || last == 0 ? std::string::npos : end.rfind('\n', last - 1);
    if (before == std::string::npos && window < size) continue;
    if (last == std::string::npos) return Stopped();
    const std::size_t begin = before == std::string::npos ? 0 : before + 1;
    auto found = line_end(std::string_view(end).substr(begin, last - begin));
    if (!found) return fail(ErrorKind::kUsage, fmt::format("--out {}: its last line is no line of an escalations export, so that --resume cannot go on behind it", path));
    return Stopped{size - window + last + 1, std::move(found->after)};
  }
}

struct CloseFile {
  void operator()(std::FILE* file) const { (void)std::fclose(file); }
};

/// Where the lines go.
class Output {
 public:
  /// Sets `arguments.cursor` where it goes on with a file.
  static Result<Output> open(ExportArguments& arguments) {
    Output output;
    output.file_ = stdout;
    if (arguments.out == "-") {
      if (arguments.resume) return fail(ErrorKind::kUsage, "--resume needs a file (--out F); with --out - give --after TOKEN");
      return output;
    }
    std::error_code none;
    const bool holds = fs::is_regular_file(arguments.out, none) && fs::file_size(arguments.out, none) > 0;
    if (holds && !arguments.resume) {
      return fail(ErrorKind::kUsage, fmt::format("--out {} is there already: --resume goes on behind its last line; else name another file or remove it", arguments.out));
    }
    if (holds) {
      const auto stopped = find_end(arguments.out);
      if (!stopped) return fail(stopped.error());
      fs::resize_file(arguments.out, stopped->bytes, none);
      if (none) return fail(ErrorKind::kIo, fmt::format("--out {}: {}", arguments.out, none.message()));
      if (stopped->after) arguments.cursor = stopped->after;
    }
    output.owned_.reset(std::fopen(arguments.out.c_str(), holds ? "ab" : "wb"));
    if (!output.owned_) return fail(ErrorKind::kIo, fmt::format("--out {}: cannot be opened for writing", arguments.out));
    output.file_ = output.owned_.get();
    return output;
  }
  bool write(std::string_view lines) { return std::fwrite(lines.data(), 1, lines.size(), file_) == lines.size() && std::fflush(file_) == 0; }
  bool close() { return !owned_ || std::fclose(owned_.release()) == 0; }

 private:
  std::unique_ptr<std::FILE, CloseFile> owned_;
  std::FILE* file_ = nullptr;
};

Result<std::string> next_page(const ExportArguments& arguments) {
  if (arguments.store.url.empty()) return answer_escalation_lines({arguments.store.data}, arguments);
  GatewayQuestion question{"/admin/api/escalations", filter_parameters(arguments)};
  question.query.emplace_back("format", "jsonl");
  question.query.emplace_back("limit", std::to_string(arguments.limit));
  if (arguments.cursor) question.query.emplace_back("after", *arguments.cursor);
  Rendering how;
  how.json = true;
  return ask_gateway(arguments.store, std::move(question), how);
}

/// Tells how far it is, in place, where somebody watches.
class Progress {
 public:
  void show(std::uint64_t written, std::string_view time) {
    if (!watched_) return;
    std::fprintf(stderr, "\r%s, back to %.*s ", counted(static_cast<std::int64_t>(written), "escalation").c_str(), static_cast<int>(time.size()), time.data());  // tidy: allow(print) because print_error ends the line
    shown_ = true;
  }
  void end() {
    if (shown_) std::fputs("\r\x1b[K", stderr);
    shown_ = false;
  }

 private:
  bool watched_ = ::isatty(STDERR_FILENO) == 1;
  bool shown_ = false;
};

int stopped(const char* name, const ExportArguments& arguments, std::uint64_t written, const Error& error) {
  if (written == 0 && !arguments.cursor) return report_error(name, error, false);
  const std::string go_on = arguments.out == "-" ? fmt::format("--after {}", arguments.cursor.value_or("")) : std::string("--resume");
  print_error(fmt::format("{}: {}\n{} written; the same command with {} goes on behind them", name, error.message, counted(static_cast<std::int64_t>(written), "escalation"), go_on));
  return kExitIncomplete;
}

int export_all(const char* name, ExportArguments& arguments, Output& output) {
  Progress progress;
  std::uint64_t written = 0;
  for (;;) {
    arguments.limit = arguments.most == 0 ? kPageRequests : static_cast<std::uint32_t>(std::min<std::uint64_t>(kPageRequests, arguments.most - written));
    if (arguments.limit == 0) break;
    const auto lines = next_page(arguments);
    if (!lines) {
      progress.end();
      return stopped(name, arguments, written, lines.error());
    }
    if (lines->empty()) break;
    if (!output.write(*lines)) {
      progress.end();
      if (errno == EPIPE) return kExitDone;  // the reader has seen what it wanted
      return stopped(name, arguments, written, Error(ErrorKind::kIo, fmt::format("--out {}: cannot be written; is the disk full?", arguments.out)));
    }
    written += static_cast<std::uint64_t>(std::count(lines->begin(), lines->end(), '\n'));
    const std::size_t before = lines->rfind('\n', lines->size() - 2);
    const auto end = line_end(std::string_view(*lines).substr(before == std::string::npos ? 0 : before + 1));
    if (!end) {
      progress.end();
      return stopped(name, arguments, written, Error(ErrorKind::kInternal, "the last page ends in a line without its place"));
    }
    arguments.cursor = end->after;
    progress.show(written, end->time);
  }
  progress.end();
  if (!output.close()) return stopped(name, arguments, written, Error(ErrorKind::kIo, fmt::format("--out {}: cannot be written completely; is the disk full?", arguments.out)));
  std::string said = fmt::format("{} written", counted(static_cast<std::int64_t>(written), "escalation"));
  if (arguments.most != 0 && written == arguments.most && arguments.cursor) said += fmt::format("; more: --after {}", *arguments.cursor);
  print_error(said);
  return kExitDone;
}

}  // namespace

int run_escalations_export_command(int argc, char** argv) {
  CLI::App cli("Escalations as JSON Lines (understudy.escalation/1), newest first: the request, all answers, signals, costs and labels.");
  ExportArguments arguments;
  add_list_arguments(cli, arguments, true);
  cli.add_option("--out", arguments.out, "File to write; -: standard output")->required();
  cli.add_flag("--resume", arguments.resume, "Go on behind the last whole line of the file that an earlier run left");
  cli.add_option("--limit", arguments.most, "Most to write; 0: all")->capture_default_str();
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  if (arguments.store.url.empty()) {
    if (auto checked = check_store_arguments(arguments.store); !checked) return report_error(argv[0], checked.error(), arguments.store.json);
  }
  auto output = Output::open(arguments);
  if (!output) return report_error(argv[0], output.error(), arguments.store.json);
  return export_all(argv[0], arguments, *output);
}

}  // namespace understudy::app
