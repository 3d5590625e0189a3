#include "evaluation/export_outcomes.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <CLI/CLI.hpp>
#include <unordered_map>

#include "base/time_format.h"
#include "calibration/features.h"
#include "evaluation/outcomes.h"
#include "store/rung_name.h"

namespace understudy::evaluation {

namespace {

/// Text of a message's content: a string, or the text parts of a list joined by line ends.
std::string content_text(simdjson::dom::element content) {
  std::string_view text;
  if (content.get(text) == simdjson::SUCCESS) return std::string(text);
  std::string joined;
  simdjson::dom::array parts;
  if (content.get(parts) != simdjson::SUCCESS) return joined;
  for (const simdjson::dom::element part : parts) {
    if (part.at_key("text").get(text) != simdjson::SUCCESS) continue;
    if (!joined.empty()) joined += '\n';
    joined += text;
  }
  return joined;
}

/// An assistant message's answer: its text, or its tool calls where it has no text.
std::optional<std::string> answer_text(const store::Body& body) {
  if (!body.stored || body.truncated()) return std::nullopt;
  simdjson::dom::parser parser;
  simdjson::dom::element message, value;
  if (parser.parse(body.text).get(message) != simdjson::SUCCESS) return std::nullopt;
  std::string text;
  if (message.at_key("content").get(value) == simdjson::SUCCESS) text = content_text(value);
  if (text.empty() && message.at_key("tool_calls").get(value) == simdjson::SUCCESS && !value.is_null()) text = simdjson::minify(value);
  return text;
}

struct Prompt {
  std::string system, user;
};

/// First system message and last user message of the request.
Prompt prompt_of(const store::Body& body) {
  Prompt prompt;
  if (!body.stored || body.truncated()) return prompt;
  simdjson::dom::parser parser;
  simdjson::dom::element root, content;
  simdjson::dom::array messages;
  if (parser.parse(body.text).get(root) != simdjson::SUCCESS || root.at_key("messages").get(messages) != simdjson::SUCCESS) return prompt;
  for (const simdjson::dom::element message : messages) {
    std::string_view role;
    if (message.at_key("role").get(role) != simdjson::SUCCESS || message.at_key("content").get(content) != simdjson::SUCCESS) continue;
    if ((role == "system" || role == "developer") && prompt.system.empty()) prompt.system = content_text(content);
    if (role == "user") prompt.user = content_text(content);
  }
  return prompt;
}

std::optional<double> usd(const std::optional<Picousd>& cost) {
  if (!cost) return std::nullopt;
  return static_cast<double>(cost->value) / static_cast<double>(kPicousdPerUsd);
}

std::optional<std::array<std::uint64_t, 2>> tokens(const std::optional<Usage>& usage) {
  if (!usage) return std::nullopt;
  return std::array{static_cast<std::uint64_t>(usage->input), static_cast<std::uint64_t>(usage->output)};
}

}  // namespace

std::optional<std::string> outcome_line(const store::RequestDetail& detail, std::string_view id) {
  const store::AttemptRecord* weak = nullptr;
  const store::AttemptRecord* strong = nullptr;
  for (const store::AttemptRecord& attempt : detail.attempts) {
    if (!attempt.error.empty() || store::is_signal_rung(attempt.rung)) continue;
    (attempt.stage == Stage::kTeacher ? strong : weak) = &attempt;
  }
  if (weak == nullptr) return std::nullopt;
  const store::RequestRecord& request = detail.request;
  const Prompt prompt = prompt_of(detail.body);
  const auto weak_answer = answer_text(weak->answer);
  const auto strong_answer = strong != nullptr ? answer_text(strong->answer) : std::nullopt;
  OutcomeRecord record;
  record.id = id;
  record.task = request.task;
  record.system = prompt.system;
  record.prompt = prompt.user;
  record.weak_model = weak->model;
  if (weak_answer) record.weak_answer = *weak_answer;
  record.weak_cost_usd = usd(weak->cost);
  record.weak_latency_ms = static_cast<double>(weak->latency_us) / 1000;
  if (const auto features = calibration::restore_features(static_cast<std::uint16_t>(weak->feature_schema), weak->features)) {
    record.weak_logprob = (*features)[calibration::kMinLogprob];
  } else {
    record.weak_prob = weak->confidence;
  }
  record.weak_tokens = tokens(weak->usage);
  if (strong != nullptr) {
    record.strong_tokens = tokens(strong->usage);
    record.strong_model = strong->model;
    if (strong_answer) record.strong_answer = *strong_answer;
    record.strong_cost_usd = usd(strong->cost);
    record.strong_latency_ms = static_cast<double>(strong->latency_us) / 1000;
  }
  record.agrees = request.agrees;
  record.label_source = request.label_source;
  for (const store::LabelRecord& label : detail.labels) {
    // A spot check of a served answer comes in after its request has ended.
    if (label.stage != weak->stage || label.source == "feedback") continue;
    record.agrees = label.agrees;
    record.label_source = label.source;
  }
  record.coin = request.coin_heads || record.label_source == "shadow";  // a shadow row is a coin of probability 1
  record.coin_probability = request.coin_probability;
  record.policy_version = request.policy_version;
  std::string line;
  append_outcome_line(line, record);
  return line;
}

Result<ExportCounts> export_outcomes(store::StoreReader& reader, const store::StoreReader::ScanOptions& options, std::FILE* out) {
  ExportCounts counts;
  bool written = true;
  std::unordered_map<std::string, std::uint64_t> seen;
  const auto visited = reader.scan(options, [&](const store::RequestDetail& detail) {
    const std::uint64_t before = seen[detail.request.request_id]++;
    const std::string id = before == 0 ? detail.request.request_id : fmt::format("{}#{}", detail.request.request_id, before + 1);
    const auto line = outcome_line(detail, id);
    if (!line) {
      ++counts.skipped;
      return true;
    }
    written = std::fwrite(line->data(), 1, line->size(), out) == line->size();
    counts.written += written;
    return written;
  });
  if (!visited) return fail(visited.error());
  if (!written || std::fflush(out) != 0) return fail(ErrorKind::kIo, "export outcomes: the output could not be written; is the disk full?");
  return counts;
}

int run_export_outcomes_command(const std::vector<std::string>& arguments, std::FILE* out, std::FILE* err) {
  std::string data = "./understudy-data", task, since, path;
  CLI::App app("Writes the gateway's log as outcomes for `understudy eval`", "understudy export outcomes");
  app.add_option("--data", data, "data directory")->capture_default_str();
  app.add_option("--task", task, "only this task");
  app.add_option("--since", since, "only requests that finished at or after this time (RFC 3339)");
  app.add_option("--out", path, "file to write; standard output without it");
  const auto refuse = [&](std::string_view message) {
    fmt::print(err, "understudy export outcomes: {}\n", message);  // tidy: allow(print) because this is a command's own entry point
    return 2;
  };
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    fmt::print(out, "{}", app.help());  // tidy: allow(print) because this is a command's own entry point
    return 0;
  } catch (const CLI::ParseError& e) {
    return refuse(e.what());
  }
  store::StoreReader::ScanOptions options;
  options.bodies = true;
  if (!task.empty()) options.task = task;
  if (!since.empty()) {
    const auto time = parse_rfc3339(since);
    if (!time) return refuse(time.error().message);
    options.since = *time;
  }
  auto reader = store::StoreReader::open(data);
  if (!reader) return refuse(reader.error().message);
  std::FILE* file = path.empty() ? out : std::fopen(path.c_str(), "wb");
  if (file == nullptr) return refuse(fmt::format("--out {}: cannot be opened for writing", path));
  const auto counts = export_outcomes(*reader, options, file);
  const bool closed = path.empty() || std::fclose(file) == 0;
  if (!counts) return refuse(counts.error().message);
  if (!closed) return refuse(fmt::format("--out {}: could not be written completely", path));
  fmt::print(err, "{} outcomes written, {} requests without a cheap stage's answer left out\n", counts->written, counts->skipped);  // tidy: allow(print) because this is a command's own entry point
  return 0;
}

}  // namespace understudy::evaluation
