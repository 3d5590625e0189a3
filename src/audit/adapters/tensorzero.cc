// TensorZero: rows of ChatInference / JsonInference (function_name, episode_id) and of ModelInference (tokens), joined on
// inference_id. Tables and columns: tensorzero.com/docs/gateway/data-model. Rows may come in any order and in separate files.
#include "audit/adapters/adapters.h"

namespace understudy::audit {
namespace {

void read_row(dom::element element, Scratch& scratch, RecordSink& sink) {
  dom::object object;
  if (element.get(object) != simdjson::SUCCESS) return sink.malformed("a row is not an object");
  Fields f(object);
  SpanRecord span;
  span.span_id = f.text({"id"});
  if (f.text({"function_name"}).empty() && f.text({"inference_id"}).empty()) return sink.not_a_call();
  if (!f.text({"function_name"}).empty()) {
    span.name = f.text({"function_name"});
    if (span.name.starts_with("tensorzero::default")) span.name = {};  // calls without a function of the user's
    span.name_source = StepSource::kPromptName;
    span.own_name = true;
    span.request_id = f.text({"episode_id"});
    return sink.span(span);
  }
  span.parent_id = f.text({"inference_id"});
  span.has_call = true;
  CallRecord& r = span.call;
  r.at = f.time({"timestamp"});
  r.model = f.text({"model_name"});
  if (const std::size_t colons = r.model.find("::"); colons != std::string_view::npos) r.model = r.model.substr(colons + 2);
  r.provider = f.text({"model_provider_name"});
  const auto in = f.count({"input_tokens"});
  const auto out = f.count({"output_tokens"});
  r.usage.input = in.value_or(0);
  r.usage.output = out.value_or(0);
  r.usage.cached_input = f.count({"provider_cache_read_input_tokens", "cache_read_input_tokens", "cached_input_tokens"}).value_or(0);
  r.usage.cache_write_5m = f.count({"provider_cache_write_input_tokens", "cache_write_input_tokens"}).value_or(0);
  r.latency_ms = f.count({"response_time_ms"}).value_or(-1);
  if (auto cached = f.get("cached")) {
    bool yes = false;
    std::string_view text;
    r.cache_hit = (cached->get(yes) == simdjson::SUCCESS && yes) || (cached->get(text) == simdjson::SUCCESS && text == "true");
  }
  if (auto cost = f.get("cost")) r.cost_logged = read_usd(*cost);
  if (std::string_view system = f.text({"system"}); !system.empty()) scratch.prompt.push_back({templates::Role::kSystem, system});
  if (auto messages = f.first({"input_messages"})) read_messages(*messages, scratch);
  if (auto output = f.get("output")) {
    const auto parsed = scratch.json(*output);
    r.answer = read_answer(parsed ? *parsed : *output, scratch);
  }
  r.prompt = scratch.prompt;
  if (f.error.empty()) {
    if (r.model.empty()) f.error = "model_name is missing";
    else if (r.usage.cached_input + r.usage.cache_write_5m > r.usage.input) f.error = "cached tokens exceed input_tokens";
  }
  if (!f.error.empty()) return sink.malformed(f.error);
  sink.span(span);
}

}  // namespace

void read_tensorzero(dom::element document, const AdapterOptions&, Scratch& scratch, RecordSink& sink) {
  each_item(document, {"data", "rows"}, [&](dom::element item) {
    scratch.prompt.clear();
    read_row(item, scratch, sink);
  });
}

}  // namespace understudy::audit
