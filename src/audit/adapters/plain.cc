// Plain JSONL and CSV: docs/formats/call-record.md. Cached tokens are inside the input. plain_fast.cc reads the same lines
// without a tree and hands over here whatever is out of the ordinary.
#include "audit/adapters/adapters.h"
#include "audit/steps.h"

namespace understudy::audit {

void read_plain(dom::element document, const AdapterOptions& options, Scratch& scratch, RecordSink& sink) {
  dom::object object;
  if (document.get(object) != simdjson::SUCCESS) return sink.malformed("not a JSON object");
  Fields f(object);
  CallRecord r;
  r.at = f.time({"ts", "timestamp", "time"});
  r.request_id = f.text({"request_id"});
  r.call_id = f.text({"call_id"});
  if (const auto n = f.count({"attempt"})) r.attempt = static_cast<std::int32_t>(std::min<std::int64_t>(*n, INT32_MAX));
  r.step = f.text({"step"});
  if (r.step.empty()) {
    if (auto tags = f.get("tags")) r.step = step_of_tags(*tags);
  }
  if (!r.step.empty()) r.step_source = StepSource::kExplicit;
  r.model = f.text({"model"});
  r.provider = f.text({"provider"});
  r.service_tier = f.text({"service_tier"});
  const auto in = f.count({"tok_in"});
  const auto out = f.count({"tok_out"});
  r.usage.input = in.value_or(0);
  r.usage.output = out.value_or(0);
  r.usage.cached_input = f.count({"cached_in"}).value_or(0);
  if (auto write = f.get("cache_write"); write && write->is_object()) {
    auto parts = *f.object({"cache_write"}, scratch);
    r.usage.cache_write_5m = parts.count({"5m", "ephemeral_5m"}).value_or(0);
    r.usage.cache_write_1h = parts.count({"1h", "ephemeral_1h"}).value_or(0);
    if (f.error.empty()) f.error = parts.error;
  } else {
    r.usage.cache_write_5m = f.count({"cache_write_5m", "cache_write"}).value_or(0);
    r.usage.cache_write_1h = f.count({"cache_write_1h"}).value_or(0);
  }
  if (options.cached_inside == false) r.usage.input += r.usage.cached_input + r.usage.cache_write_5m + r.usage.cache_write_1h;
  r.usage.reasoning = f.count({"reasoning"}).value_or(0);
  r.queries = f.count({"queries"}).value_or(1);
  if (auto status = f.get("status")) r.failed = means_failure(*status);
  if (auto hit = f.get("cache_hit")) {
    bool yes = false;
    std::string_view text;
    r.cache_hit = (hit->get(yes) == simdjson::SUCCESS && yes) || (hit->get(text) == simdjson::SUCCESS && (text == "true" || text == "True"));
  }
  if (auto latency = f.get("latency_ms")) {
    double ms = 0;
    if (latency->get(ms) == simdjson::SUCCESS && ms >= 0 && ms < 1e12) r.latency_ms = static_cast<std::int64_t>(ms);
    else if (const auto n = f.count({"latency_ms"})) r.latency_ms = *n;
  }
  const std::string_view path = f.text({"path"});
  if (path == "online") r.path = CallPath::kOnline;
  if (path == "offline") r.path = CallPath::kOffline;
  if (auto cost = f.first({"cost_usd"})) {
    r.cost_logged = read_usd(*cost);
    if (!r.cost_logged && f.error.empty()) f.error = "cost_usd is not an amount";
  }
  r.account = f.text({"account"});
  r.consumer = f.text({"consumer"});
  if (auto prompt = f.first({"messages", "prompt", "input"})) read_messages(*prompt, scratch);
  if (auto answer = f.first({"answer", "completion", "output", "response"})) r.answer = read_answer(*answer, scratch);
  r.prompt = scratch.prompt;

  if (f.error.empty()) {
    if (r.model.empty()) f.error = "model is missing";
    else if (!in) f.error = "tok_in is missing";
    else if (!out) f.error = "tok_out is missing";
    else if (r.usage.cached_input + r.usage.cache_write_5m + r.usage.cache_write_1h > r.usage.input) f.error = "cached tokens exceed tok_in";
    else if (r.usage.reasoning > r.usage.output) f.error = "reasoning exceeds tok_out";
  }
  if (!f.error.empty()) return sink.malformed(f.error);
  sink.call(r);
}

}  // namespace understudy::audit
