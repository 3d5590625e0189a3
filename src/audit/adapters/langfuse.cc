// Langfuse observations, from the API (camelCase) or an export (snake_case). Usage keys are additive: cached tokens are not in
// `input`, reasoning is not in `output`. Names follow langfuse.com/docs/observability/features/token-and-cost-tracking.
#include "audit/adapters/span_view.h"
#include "audit/steps.h"

namespace understudy::audit {
namespace {

bool is_count_key(std::string_view key, std::string_view part) { return key.find(part) != std::string_view::npos; }

/// Sums the additive keys of usageDetails.
void read_usage(dom::object usage, Usage& out, std::string& error) {
  Fields f(usage);
  // OpenAI's own names are passed on by some integrations; there cached tokens are inside.
  if (f.get("prompt_tokens") || f.get("promptTokens")) {
    out.input = f.count({"prompt_tokens", "promptTokens"}).value_or(0);
    out.output = f.count({"completion_tokens", "completionTokens"}).value_or(0);
    Scratch none;
    if (auto details = f.object({"prompt_tokens_details"}, none)) out.cached_input = details->count({"cached_tokens"}).value_or(0);
    if (auto details = f.object({"completion_tokens_details"}, none)) out.reasoning = details->count({"reasoning_tokens"}).value_or(0);
    if (error.empty()) error = f.error;
    return;
  }
  for (const auto [key, value] : usage) {
    std::int64_t n = 0;
    if (!value.is_number() && !value.is_string()) continue;
    if (key == "unit" || key.find("total") != std::string_view::npos || key.find("ost") != std::string_view::npos) continue;
    const CountResult result = read_count(value, n);
    if (result == CountResult::kMissing) continue;
    if (result == CountResult::kBad) {
      if (error.empty()) error = std::string(key) + " is not a whole number from 0 to 1e12";
      continue;
    }
    if (key.starts_with("output") || is_count_key(key, "completion")) {
      out.output += n;
      if (is_count_key(key, "reasoning")) out.reasoning += n;
    } else if (key.starts_with("input") || key.starts_with("cache") || is_count_key(key, "prompt")) {
      out.input += n;
      if (is_count_key(key, "creation") || is_count_key(key, "write")) {
        (is_count_key(key, "1h") ? out.cache_write_1h : out.cache_write_5m) += n;
      } else if (is_count_key(key, "cache")) {
        out.cached_input += n;
      }
    }
  }
}

void read_observation(dom::element element, Scratch& scratch, RecordSink& sink) {
  dom::object object;
  if (element.get(object) != simdjson::SUCCESS) return sink.malformed("an observation is not an object");
  Fields f(object);
  SpanRecord span;
  const std::string_view type = f.text({"type"});
  span.trace_id = f.text({"traceId", "trace_id"});
  span.span_id = f.text({"id", "observation_id"});
  span.parent_id = f.text({"parentObservationId", "parent_observation_id"});
  const std::string_view prompt_name = f.text({"promptName", "prompt_name"});
  const std::string_view name = f.text({"name"});
  span.name = prompt_name.empty() ? without_operation(name) : prompt_name;
  span.own_name = true;
  span.wraps = !type.empty() && type != "GENERATION" && type != "EMBEDDING" && type != "EVALUATOR" && type != "GUARDRAIL" && type != "generation";
  CallRecord& r = span.call;
  r.model = f.text({"model", "providedModelName", "provided_model_name", "internalModel"});
  std::string error;
  bool has_usage = false;
  if (auto usage = f.object({"usageDetails", "usage_details", "usage"}, scratch)) {
    for (const auto [key, value] : usage->raw()) has_usage |= value.is_number() || value.is_string();
    read_usage(usage->raw(), r.usage, error);
  }
  if (!has_usage) {
    const auto in = f.count({"promptTokens", "prompt_tokens", "inputUsage", "input_usage"});
    const auto out = f.count({"completionTokens", "completion_tokens", "outputUsage", "output_usage"});
    has_usage = in || out;
    r.usage.input = in.value_or(0);
    r.usage.output = out.value_or(0);
  }
  span.has_call = has_usage && !r.model.empty() && (r.usage.input > 0 || r.usage.output > 0 || !span.wraps);
  r.at = f.time({"startTime", "start_time", "timestamp"});
  const auto end = f.time({"endTime", "end_time"});
  if (r.at && end && end->us >= r.at->us) r.latency_ms = (end->us - r.at->us) / 1000;
  if (!f.error.empty() || !error.empty()) return sink.malformed(f.error.empty() ? error : f.error);
  if (!span.has_call) {
    sink.not_a_call();
    return sink.span(span);
  }
  r.request_id = span.trace_id;
  r.failed = f.text({"level"}) == "ERROR";
  r.consumer = f.text({"userId", "user_id"});
  r.account = f.text({"projectId", "project_id"});
  if (auto costs = f.object({"costDetails", "cost_details"}, scratch)) {
    if (auto total = costs->get("total")) r.cost_logged = read_usd(*total);
  }
  if (!r.cost_logged) {
    if (auto cost = f.first({"calculatedTotalCost", "totalCost", "total_cost", "calculated_total_cost"})) r.cost_logged = read_usd(*cost);
  }
  if (auto metadata = f.object({"metadata"}, scratch)) {
    r.step = step_of_metadata(*metadata);
    if (r.step.empty()) {
      if (auto inner = metadata->object({"attributes"}, scratch)) r.step = step_of_metadata(*inner);
    }
  }
  if (r.step.empty()) {
    if (auto tags = f.first({"tags", "traceTags", "trace_tags"})) {
      const auto parsed = scratch.json(*tags);
      r.step = step_of_tags(parsed ? *parsed : *tags);
    }
  }
  r.step_source = StepSource::kExplicit;
  if (r.step.empty()) {
    r.step_source = StepSource::kPromptName;
    if (!prompt_name.empty()) r.step = prompt_name;
    else if (is_known_step(name)) r.step = name;
  }
  if (r.step.empty()) {
    r.step_source = StepSource::kSpanKind;
    if (const auto step = step_of_span_kind(type)) r.step = *step;
  }
  if (auto input = f.get("input")) read_messages(*input, scratch);
  if (auto output = f.get("output")) r.answer = read_answer(*output, scratch);
  r.prompt = scratch.prompt;
  sink.span(span);
}

}  // namespace

void read_langfuse(dom::element document, const AdapterOptions&, Scratch& scratch, RecordSink& sink) {
  each_item(document, {"data", "observations"}, [&](dom::element item) {
    scratch.prompt.clear();
    read_observation(item, scratch, sink);
  });
}

}  // namespace understudy::audit
