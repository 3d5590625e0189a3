// Helicone requests (HeliconeRequest of its REST API, `npx @helicone/export`). Whether prompt_tokens holds the cached tokens is
// tested as for OTLP; --cached-inside / --cached-outside decides.
#include "audit/adapters/span_view.h"
#include "audit/steps.h"

namespace understudy::audit {
namespace {

void read_request(dom::element element, const AdapterOptions& options, Scratch& scratch, RecordSink& sink) {
  dom::object object;
  if (element.get(object) != simdjson::SUCCESS) return sink.malformed("a request is not an object");
  Fields f(object);
  CallRecord r;
  r.call_id = f.text({"request_id", "id"});
  r.at = f.time({"request_created_at", "created_at", "response_created_at"});
  r.model = f.text({"response_model", "model", "model_override", "request_model"});
  std::string provider(f.text({"provider"}));
  for (char& c : provider) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  r.provider = scratch.keep(std::move(provider));
  const auto in = f.count({"prompt_tokens", "promptTokens"});
  const auto out = f.count({"completion_tokens", "completionTokens"});
  r.usage.input = in.value_or(0);
  r.usage.output = out.value_or(0);
  r.usage.cached_input = f.count({"prompt_cache_read_tokens"}).value_or(0);
  r.usage.cache_write_5m = f.count({"prompt_cache_write_tokens"}).value_or(0);
  r.usage.reasoning = f.count({"reasoning_tokens"}).value_or(0);
  settle_cached(r.usage, options.cached_inside);
  if (auto delay = f.get("delay_ms")) {
    double ms = 0;
    if (delay->get(ms) == simdjson::SUCCESS && ms >= 0 && ms < 1e12) r.latency_ms = static_cast<std::int64_t>(ms);
    else if (delay->is_string()) r.latency_ms = f.count({"delay_ms"}).value_or(-1);
  }
  if (auto status = f.first({"response_status", "status"})) r.failed = means_failure(*status);
  if (auto cost = f.first({"cost", "costUSD", "cost_usd"})) r.cost_logged = read_usd(*cost);
  r.cache_hit = !f.text({"cache_reference_id"}).empty() && f.text({"cache_reference_id"}) != "00000000-0000-0000-0000-000000000000";
  r.consumer = f.text({"request_user_id", "user_id", "helicone_user"});
  std::string_view prompt_id = f.text({"prompt_id"});
  if (auto properties = f.object({"request_properties", "properties"}, scratch)) {
    r.step = step_of_metadata(*properties);
    if (r.step.empty()) r.step = properties->text({"Step", "Helicone-Step"});
    r.request_id = properties->text({"Helicone-Session-Id", "session_id", "request_id"});
    if (prompt_id.empty()) prompt_id = properties->text({"Helicone-Prompt-Id", "prompt_id"});
    if (r.step.empty() && prompt_id.empty()) {
      const std::string_view path = properties->text({"Helicone-Session-Path"});  // "/answer/rerank"
      prompt_id = path.substr(path.rfind('/') == std::string_view::npos ? 0 : path.rfind('/') + 1);
    }
  }
  r.step_source = StepSource::kExplicit;
  if (r.step.empty() && !prompt_id.empty()) {
    r.step = prompt_id;
    r.step_source = StepSource::kPromptName;
  }
  if (r.step.empty()) {
    const std::string_view path = f.text({"request_path"});
    r.step_source = StepSource::kSpanKind;
    if (path.find("/embeddings") != std::string_view::npos) r.step = "embed";
    else if (path.find("/rerank") != std::string_view::npos) r.step = "rerank";
  }
  if (auto body = f.object({"request_body"}, scratch)) read_messages(*scratch.json(*f.get("request_body")), scratch);
  if (auto body = f.get("response_body")) {
    if (auto parsed = scratch.json(*body)) r.answer = read_answer(*parsed, scratch);
  }
  r.prompt = scratch.prompt;
  if (!f.error.empty()) return sink.malformed(f.error);
  if (r.model.empty() || (!in && !out)) return r.failed || r.model.empty() ? sink.not_a_call() : sink.malformed("prompt_tokens is missing");
  if (r.usage.reasoning > r.usage.output) r.usage.reasoning = r.usage.output;
  sink.call(r);
}

}  // namespace

void read_helicone(dom::element document, const AdapterOptions& options, Scratch& scratch, RecordSink& sink) {
  each_item(document, {"data"}, [&](dom::element item) {
    scratch.prompt.clear();
    read_request(item, options, scratch, sink);
  });
}

}  // namespace understudy::audit
