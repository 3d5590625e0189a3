#include "providers/recording.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <fstream>
#include <iterator>
#include <sstream>

#include "base/json_writer.h"

namespace understudy::providers {
namespace {

namespace dom = simdjson::dom;

Unexpected corrupt(std::string_view name, std::size_t line, std::string_view why) {
  return fail(ErrorKind::kCorrupt, fmt::format("{}:{}: {} (docs/formats/recording.md has the format)", name, line, why));
}

std::string text_of(const dom::element& element) {
  std::string_view text;
  return element.get_string().get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
}

/// [text, logprob, [[text, logprob], ...]]
bool read_token(const dom::element& element, RecordedToken& token) {
  dom::array parts;
  if (element.get_array().get(parts) != simdjson::SUCCESS || parts.size() < 2) return false;
  std::string_view text;
  if (parts.at(0).get_string().get(text) != simdjson::SUCCESS || parts.at(1).get_double().get(token.logprob) != simdjson::SUCCESS) return false;
  token.text = text;
  dom::array alternatives;
  if (parts.size() > 2 && parts.at(2).get_array().get(alternatives) == simdjson::SUCCESS) {
    for (const dom::element& alternative : alternatives) {
      dom::array pair;
      std::string_view other;
      double logprob = 0;
      if (alternative.get_array().get(pair) != simdjson::SUCCESS || pair.at(0).get_string().get(other) != simdjson::SUCCESS ||
          pair.at(1).get_double().get(logprob) != simdjson::SUCCESS) {
        return false;
      }
      token.alternatives.emplace_back(other, logprob);
    }
  }
  return true;
}

void write_token_logprobs(JsonWriter& w, const RecordedToken& token, std::int64_t top_logprobs) {
  const auto candidate = [&](const std::string& text, double logprob) {
    w.field("token", text).field("logprob", logprob).key("bytes").begin_array();
    for (const char c : text) w.integer(static_cast<unsigned char>(c));
    w.end_array();
  };
  w.begin_object();
  candidate(token.text, token.logprob);
  w.key("top_logprobs").begin_array();
  std::int64_t left = top_logprobs;
  // The emitted token stands among the candidates in order of probability, as servers list it.
  bool own_written = false;
  const auto own = [&] {
    if (own_written || left-- <= 0) return;
    own_written = true;
    w.begin_object();
    candidate(token.text, token.logprob);
    w.end_object();
  };
  for (const auto& [text, logprob] : token.alternatives) {
    if (token.logprob >= logprob) own();
    if (left-- <= 0) break;
    w.begin_object();
    candidate(text, logprob);
    w.end_object();
  }
  own();
  w.end_array().end_object();
}

void write_usage(JsonWriter& w, const RecordedAnswer& recorded) {
  w.key("usage");
  if (!recorded.usage) {
    w.null();
    return;
  }
  const Usage& usage = *recorded.usage;
  w.begin_object().field("prompt_tokens", usage.input).field("completion_tokens", usage.output).field("total_tokens", usage.input + usage.output).end_object();
}

std::string completion_id(const RecordedAnswer& recorded, std::int64_t created) {
  return fmt::format("chatcmpl-rec{:x}{:x}", created, std::hash<std::string>{}(recorded.answer) & 0xffffff);
}

}  // namespace

Result<std::shared_ptr<const Recording>> Recording::load(const std::vector<std::string>& files) {
  auto recording = std::make_shared<Recording>();
  for (const std::string& file : files) {
    std::ifstream in(file, std::ios::binary);
    if (!in) return fail(ErrorKind::kIo, fmt::format("Cannot read the recording '{}': check the path and its permissions.", file));
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    if (auto done = recording->add_lines(text, file); !done) return fail(std::move(done.error()));
  }
  return recording;
}

Result<std::shared_ptr<const Recording>> Recording::parse(std::string_view text, std::string_view name) {
  auto recording = std::make_shared<Recording>();
  if (auto done = recording->add_lines(text, name); !done) return fail(std::move(done.error()));
  return recording;
}

Result<void> Recording::add_lines(std::string_view text, std::string_view name) {
  dom::parser parser;
  bool header_seen = false;
  std::size_t line_number = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    ++line_number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    dom::element row;
    if (const auto code = parser.parse(line.data(), line.size()).get(row)) return corrupt(name, line_number, simdjson::error_message(code));
    if (!header_seen) {
      std::string_view schema;
      if (row["schema"].get_string().get(schema) != simdjson::SUCCESS || schema != "understudy.recording/1") {
        return corrupt(name, line_number, "the first line must hold \"schema\": \"understudy.recording/1\"");
      }
      dom::element model;
      if (row["model"].get(model) == simdjson::SUCCESS && model_.empty()) model_ = text_of(model);
      header_seen = true;
      continue;
    }
    RecordedAnswer recorded;
    std::string_view match;
    std::string_view answer;
    if (row["match"].get_string().get(match) != simdjson::SUCCESS) return corrupt(name, line_number, "\"match\" is missing or not a string");
    if (row["answer"].get_string().get(answer) != simdjson::SUCCESS) return corrupt(name, line_number, "\"answer\" is missing or not a string");
    recorded.answer = answer;
    bool edited = false;
    std::uint64_t counted_bytes = 0;
    if (row["bytes"].get_uint64().get(counted_bytes) == simdjson::SUCCESS) edited = counted_bytes != answer.size();
    dom::array tokens;
    if (row["tokens"].get_array().get(tokens) == simdjson::SUCCESS) {
      std::string joined;
      for (const dom::element& element : tokens) {
        RecordedToken token;
        if (!read_token(element, token)) return corrupt(name, line_number, "\"tokens\" must hold [text, logprob, [[text, logprob], ...]]");
        joined += token.text;
        recorded.tokens.push_back(std::move(token));
      }
      // Logprobs belong to the tokens that were said: an answer that was edited by hand has none.
      if (joined != recorded.answer) {
        recorded.tokens.clear();
        edited = true;
      }
    }
    std::string_view finish;
    if (row["finish_reason"].get_string().get(finish) == simdjson::SUCCESS) recorded.finish_reason = finish;
    std::int64_t number = 0;
    if (row["latency_ms"].get_int64().get(number) == simdjson::SUCCESS && number >= 0) recorded.latency_ms = number;
    dom::element usage;
    if (row["usage"].get(usage) == simdjson::SUCCESS) {
      Usage read;
      if (usage["prompt_tokens"].get_int64().get(read.input) == simdjson::SUCCESS &&
          usage["completion_tokens"].get_int64().get(read.output) == simdjson::SUCCESS) {
        if (edited) {
          read.output = chat::estimate_tokens(answer);
          read.estimated = true;
        }
        recorded.usage = read;
      }
    }
    const auto [place, fresh] = answers_.emplace(std::string(match), std::move(recorded));
    if (!fresh && place->second.answer != answer) return corrupt(name, line_number, fmt::format("a second, different answer to \"{}\"", match));
  }
  if (!header_seen) return corrupt(name, 1, "the recording is empty");
  return {};
}

const RecordedAnswer* Recording::find(std::string_view last_user_text) const {
  const auto found = answers_.find(last_user_text);
  return found == answers_.end() ? nullptr : &found->second;
}

std::string render_recorded(const RecordedAnswer& recorded, std::string_view model, std::int64_t created, bool logprobs, std::int64_t top_logprobs) {
  std::string out;
  JsonWriter w(out);
  w.begin_object().field("id", completion_id(recorded, created)).field("object", "chat.completion").field("created", created).field("model", model);
  w.key("choices").begin_array().begin_object().field("index", 0).key("message").begin_object();
  w.field("role", "assistant").field("content", recorded.answer).key("refusal").null().end_object().key("logprobs");
  if (logprobs && !recorded.tokens.empty()) {
    w.begin_object().key("content").begin_array();
    for (const RecordedToken& token : recorded.tokens) write_token_logprobs(w, token, top_logprobs);
    w.end_array().key("refusal").null().end_object();
  } else {
    w.null();
  }
  w.field("finish_reason", recorded.finish_reason).end_object().end_array();
  write_usage(w, recorded);
  w.end_object();
  return out;
}

std::vector<std::string> render_recorded_stream(const RecordedAnswer& recorded, std::string_view model, std::int64_t created, bool logprobs,
                                                std::int64_t top_logprobs, bool include_usage) {
  std::vector<std::string> events;
  const std::string id = completion_id(recorded, created);
  const auto begin = [&](JsonWriter& w) {
    w.begin_object().field("id", id).field("object", "chat.completion.chunk").field("created", created).field("model", model).key("choices").begin_array();
  };
  const auto event = [&](auto write_delta, const RecordedToken* token, std::string_view finish) {
    std::string& out = events.emplace_back("data: ");
    JsonWriter w(out);
    begin(w);
    w.begin_object().field("index", 0).key("delta").begin_object();
    write_delta(w);
    w.end_object().key("logprobs");
    if (token != nullptr && logprobs) {
      w.begin_object().key("content").begin_array();
      write_token_logprobs(w, *token, top_logprobs);
      w.end_array().end_object();
    } else {
      w.null();
    }
    w.key("finish_reason");
    if (finish.empty()) {
      w.null();
    } else {
      w.string(finish);
    }
    w.end_object().end_array().end_object();
    out += "\n\n";
  };
  event([](JsonWriter& w) { w.field("role", "assistant").field("content", ""); }, nullptr, "");
  if (recorded.tokens.empty()) event([&](JsonWriter& w) { w.field("content", recorded.answer); }, nullptr, "");
  for (const RecordedToken& token : recorded.tokens) {
    event([&](JsonWriter& w) { w.field("content", token.text); }, &token, "");
  }
  event([](JsonWriter&) {}, nullptr, recorded.finish_reason);
  if (include_usage) {
    std::string& out = events.emplace_back("data: ");
    JsonWriter w(out);
    begin(w);
    w.end_array();
    write_usage(w, recorded);
    w.end_object();
    out += "\n\n";
  }
  events.emplace_back("data: [DONE]\n\n");
  return events;
}

}  // namespace understudy::providers
