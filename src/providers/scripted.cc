#include "providers/scripted.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <fstream>

#include "base/json_writer.h"
#include "chat/request.h"
#include "net/timer.h"
#include "providers/memory_reply.h"
#include "providers/recording.h"

namespace understudy::providers {
namespace {

class ScriptedProvider final : public Provider {
 public:
  ScriptedProvider(net::Reactor& reactor, Script script) : reactor_(reactor), script_(std::move(script)) {}

  Task<std::unique_ptr<ChatReply>> chat(const ChatCall& call) override {
    if (call.path != ChatCall().path) co_return fail(ErrorKind::kUnsupported, "this upstream is a file of chat completions and answers nothing else");
    std::string body;
    for (const std::string_view piece : call.body) body += piece;
    ScriptedAnswer answer = script_(body, call.stream);
    if (answer.delay_ms > 0 && !co_await net::sleep_for(reactor_, answer.delay_ms, call.cancel)) {
      co_return fail(ErrorKind::kCancelled, "the client went away");
    }
    if (answer.error) co_return fail(std::move(*answer.error));
    if (answer.events.empty()) co_return std::make_unique<MemoryReply>(answer.status, std::move(answer.body));
    co_return std::make_unique<MemoryReply>(reactor_, std::move(answer.events), answer.pause_ms, call.cancel);
  }

 private:
  net::Reactor& reactor_;
  Script script_;
};

struct Rule {
  std::string match;
  RecordedAnswer answer;
  int status = 200;
};

}  // namespace

std::unique_ptr<Provider> make_scripted_provider(net::Reactor& reactor, Script script) {
  return std::make_unique<ScriptedProvider>(reactor, std::move(script));
}

Result<Script> load_script(const std::string& file, const std::string& model) {
  std::ifstream in(file);
  if (!in) return fail(ErrorKind::kIo, fmt::format("Cannot read the script '{}': check the path and its permissions.", file));
  auto rules = std::make_shared<std::vector<Rule>>();
  simdjson::dom::parser parser;
  std::string line;
  for (std::size_t number = 1; std::getline(in, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    simdjson::dom::element row;
    std::string_view answer;
    if (parser.parse(line).get(row) || row["answer"].get_string().get(answer)) {
      return fail(ErrorKind::kConfig, fmt::format("{}:{}: a rule is a JSON object with at least \"answer\"", file, number));
    }
    Rule rule;
    rule.answer.answer = answer;
    std::string_view match;
    if (!row["match"].get_string().get(match)) rule.match = match;
    double logprob = 0;
    if (!row["logprob"].get_double().get(logprob)) {
      RecordedToken token;
      token.text = answer;
      token.logprob = logprob;
      rule.answer.tokens.push_back(token);
    }
    std::int64_t value = 0;
    if (!row["status"].get_int64().get(value)) rule.status = static_cast<int>(value);
    if (!row["delay_ms"].get_int64().get(value)) rule.answer.latency_ms = value;
    rules->push_back(std::move(rule));
  }
  return Script([rules, model](const std::string& body, bool stream) {
    ScriptedAnswer out;
    const auto request = chat::parse_chat_request(body);
    const std::string text = chat::last_user_text(body);
    for (const Rule& rule : *rules) {
      if (!request || text.find(rule.match) == std::string::npos) continue;
      out.status = rule.status;
      out.delay_ms = rule.answer.latency_ms;
      if (rule.status != 200) {
        JsonWriter w(out.body);
        w.begin_object().key("error").begin_object().field("message", rule.answer.answer).field("type", "scripted").end_object().end_object();
        return out;
      }
      RecordedAnswer answer = rule.answer;
      Usage usage;
      usage.input = chat::estimate_tokens(text);
      usage.output = chat::estimate_tokens(answer.answer);
      answer.usage = usage;
      if (stream) {
        out.events = render_recorded_stream(answer, model, 0, request->logprobs, request->top_logprobs, request->include_usage);
      } else {
        out.body = render_recorded(answer, model, 0, request->logprobs, request->top_logprobs);
      }
      return out;
    }
    out.status = 404;
    out.body = R"({"error":{"message":"no rule matches","type":"scripted"}})";
    return out;
  });
}

}  // namespace understudy::providers
