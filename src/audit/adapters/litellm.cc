// LiteLLM: rows of LiteLLM_SpendLogs (proxy database) and the StandardLoggingPayload that callbacks write. Cached and written
// tokens are inside prompt_tokens and told in metadata.additional_usage_values (rows) or metadata.usage_object (payload).
#include <algorithm>

#include "audit/adapters/adapters.h"
#include "audit/steps.h"

namespace understudy::audit {
namespace {

void read_details(Fields& usage, Scratch& scratch, Usage& out) {
  if (auto details = usage.object({"prompt_tokens_details"}, scratch)) {
    out.cached_input = details->count({"cached_tokens"}).value_or(out.cached_input);
    if (const auto written = details->count({"cache_creation_tokens", "cache_write_tokens"}); written && out.cache_write_1h == 0) out.cache_write_5m = *written;
    if (auto split = details->object({"cache_creation_token_details"}, scratch)) {
      const auto hour = split->count({"ephemeral_1h_input_tokens"});
      const auto minutes = split->count({"ephemeral_5m_input_tokens"});
      if (hour || minutes) {
        out.cache_write_1h = hour.value_or(0);
        out.cache_write_5m = minutes.value_or(0);
      }
    }
    if (usage.error.empty()) usage.error = details->error;
  }
  if (out.cached_input == 0) out.cached_input = usage.count({"cache_read_input_tokens"}).value_or(0);
  if (out.cache_write_5m + out.cache_write_1h == 0) out.cache_write_5m = usage.count({"cache_creation_input_tokens"}).value_or(0);
  if (auto details = usage.object({"completion_tokens_details"}, scratch)) {
    out.reasoning = details->count({"reasoning_tokens"}).value_or(out.reasoning);
    if (usage.error.empty()) usage.error = details->error;
  }
}

bool says_true(dom::element value) {
  bool yes = false;
  if (value.get(yes) == simdjson::SUCCESS) return yes;
  std::string_view text;
  return value.get(text) == simdjson::SUCCESS && (text == "True" || text == "true");
}

void read_row(dom::element element, Scratch& scratch, RecordSink& sink) {
  dom::object object;
  if (element.get(object) != simdjson::SUCCESS) return sink.malformed("a row is not an object");
  Fields f(object);
  CallRecord r;
  const std::string_view call_type = f.text({"call_type"});
  const bool payload = f.get("response_cost").has_value() || f.get("trace_id").has_value() || f.get("standard_built_in_tools_params").has_value();
  r.at = f.time({"startTime", "start_time"});
  const auto end = f.time({"endTime", "end_time"});
  if (r.at && end && end->us >= r.at->us) r.latency_ms = (end->us - r.at->us) / 1000;
  r.call_id = payload ? f.text({"id", "request_id"}) : f.text({"request_id", "id"});
  r.model = f.text({"model"});
  r.provider = f.text({"custom_llm_provider"});
  if (r.model.empty()) r.model = f.text({"model_group"});
  const auto in = f.count({"prompt_tokens"});
  const auto out = f.count({"completion_tokens"});
  r.usage.input = in.value_or(0);
  r.usage.output = out.value_or(0);
  r.failed = f.text({"status"}) == "failure";
  if (auto hit = f.get("cache_hit")) r.cache_hit = says_true(*hit);
  if (auto cost = f.first({"spend", "response_cost"})) r.cost_logged = read_usd(*cost);
  r.account = f.text({"team_alias", "team_id", "api_key"});
  r.consumer = f.text({"end_user", "user"});
  r.request_id = f.text({"session_id", "trace_id"});
  std::string_view hidden_step;
  if (auto metadata = f.object({"metadata"}, scratch)) {
    for (const std::string_view key : {"usage_object", "additional_usage_values"}) {  // the second is what the proxy bills by
      if (auto usage = metadata->object({key}, scratch)) {
        read_details(*usage, scratch, r.usage);
        if (f.error.empty()) f.error = usage->error;
      }
    }
    if (std::string_view alias = metadata->text({"user_api_key_team_alias", "user_api_key_alias"}); !alias.empty()) r.account = alias;
    if (r.request_id.empty()) r.request_id = metadata->text({"trace_id", "session_id"});
    for (const std::string_view key : {"spend_logs_metadata", "requester_metadata", "requester_custom_headers"}) {
      auto logged = metadata->object({key}, scratch);
      if (!logged) continue;
      if (hidden_step.empty()) hidden_step = step_of_metadata(*logged);
      if (r.request_id.empty()) r.request_id = logged->text({"request_id", "session_id", "trace_id"});
    }
    if (hidden_step.empty()) hidden_step = step_of_metadata(*metadata);
    if (metadata->text({"status"}) == "failure") r.failed = true;
  }
  if (auto usage = f.object({"usage"}, scratch)) read_details(*usage, scratch, r.usage);
  if (auto tags = f.get("request_tags")) {
    const auto parsed = scratch.json(*tags);
    r.step = step_of_tags(parsed ? *parsed : *tags);
  }
  if (r.step.empty()) r.step = hidden_step;
  r.step_source = StepSource::kExplicit;
  if (r.step.empty()) {
    if (const auto step = step_of_operation(call_type)) {
      r.step = *step;
      r.step_source = StepSource::kSpanKind;
    }
  }
  if (auto messages = f.first({"messages", "proxy_server_request"})) read_messages(*messages, scratch);
  if (auto response = f.get("response")) r.answer = read_answer(*response, scratch);
  r.prompt = scratch.prompt;
  if (f.error.empty()) {
    if (r.model.empty() && r.usage.input + r.usage.output == 0) return sink.not_a_call();  // health checks, key management
    if (r.model.empty()) f.error = "model is missing";
    else if (!in && !out) f.error = "prompt_tokens and completion_tokens are missing";
    else if (r.usage.cached_input + r.usage.cache_write_5m + r.usage.cache_write_1h > r.usage.input) f.error = "cached tokens exceed prompt_tokens";
    else if (r.usage.reasoning > r.usage.output) f.error = "reasoning tokens exceed completion_tokens";
  }
  if (!f.error.empty()) return sink.malformed(f.error);
  sink.call(r);
}

}  // namespace

void read_litellm(dom::element document, const AdapterOptions&, Scratch& scratch, RecordSink& sink) {
  each_item(document, {"data", "rows"}, [&](dom::element item) {
    scratch.prompt.clear();
    read_row(item, scratch, sink);
  });
}

}  // namespace understudy::audit
