// Portkey log export (portkey.ai/docs/product/observability/logs-export: requested_data). The export does not tell cached
// tokens; where the provider's own usage is in the response, they are read from there. Its cost is left out: the page names no unit.
#include "audit/adapters/span_view.h"

namespace understudy::audit {
namespace {

void read_log(dom::element element, const AdapterOptions& options, Scratch& scratch, RecordSink& sink) {
  dom::object object;
  if (element.get(object) != simdjson::SUCCESS) return sink.malformed("a log is not an object");
  Fields f(object);
  CallRecord r;
  r.call_id = f.text({"id"});
  r.request_id = f.text({"trace_id"});
  r.at = f.time({"created_at"});
  r.model = f.text({"ai_model"});
  r.provider = f.text({"ai_org"});
  const auto in = f.count({"req_units", "prompt_tokens"});
  const auto out = f.count({"res_units", "completion_tokens"});
  r.usage.input = in.value_or(0);
  r.usage.output = out.value_or(0);
  r.latency_ms = f.count({"response_time"}).value_or(-1);
  if (auto ok = f.get("is_success")) r.failed = means_failure(*ok);
  else if (auto status = f.get("response_status_code")) r.failed = means_failure(*status);
  if (std::string_view cache = f.text({"cache_status"}); cache == "HIT" || cache == "SEMANTIC HIT" || cache == "hit") r.cache_hit = true;
  if (auto metadata = f.object({"metadata"}, scratch)) {
    r.step = step_of_metadata(*metadata);
    r.consumer = metadata->text({"_user", "consumer"});
  }
  r.step_source = StepSource::kExplicit;
  if (r.step.empty()) {
    r.step = f.text({"prompt_slug"});
    r.step_source = StepSource::kPromptName;
  }
  if (auto request = f.object({"request"}, scratch)) {
    Fields body = request->object({"body"}, scratch).value_or(*request);
    if (auto messages = body.first({"messages", "input", "prompt"})) read_messages(*messages, scratch);
  }
  if (auto response = f.object({"response"}, scratch)) {
    Fields body = response->object({"body"}, scratch).value_or(*response);
    if (auto choices = body.get("choices")) r.answer = read_answer(*choices, scratch);
    if (auto usage = body.object({"usage"}, scratch)) {
      if (auto details = usage->object({"prompt_tokens_details"}, scratch)) r.usage.cached_input = details->count({"cached_tokens"}).value_or(0);
      if (r.usage.cached_input == 0) r.usage.cached_input = usage->count({"cache_read_input_tokens"}).value_or(0);
      r.usage.cache_write_5m = usage->count({"cache_creation_input_tokens"}).value_or(0);
      settle_cached(r.usage, options.cached_inside);
    }
  }
  r.prompt = scratch.prompt;
  if (!f.error.empty()) return sink.malformed(f.error);
  if (r.model.empty()) return sink.not_a_call();
  if (!in && !out && !r.failed) return sink.malformed("req_units and res_units are missing");
  sink.call(r);
}

}  // namespace

void read_portkey(dom::element document, const AdapterOptions& options, Scratch& scratch, RecordSink& sink) {
  each_item(document, {"data"}, [&](dom::element item) {
    scratch.prompt.clear();
    read_log(item, options, scratch, sink);
  });
}

}  // namespace understudy::audit
