// OpenTelemetry GenAI semantic conventions: current names (gen_ai.usage.input_tokens, gen_ai.provider.name) and older ones
// (prompt_tokens, gen_ai.system; Traceloop's gen_ai.prompt.0.content). Cached tokens are inside the input, unless they exceed it.
#include "audit/adapters/span_view.h"
#include "audit/steps.h"

namespace understudy::audit {
namespace {

void read_event_messages(dom::element events, Scratch& scratch, std::string_view& answer) {
  dom::array list;
  if (events.get(list) != simdjson::SUCCESS) return;
  for (const dom::element event : list) {
    std::string_view name;
    if (event["name"].get(name) != simdjson::SUCCESS || !name.starts_with("gen_ai.")) continue;
    Attributes attributes;
    dom::element raw;
    if (event["attributes"].get(raw) == simdjson::SUCCESS) attributes.read(raw, scratch);
    const dom::element* content = attributes.first({"content", "gen_ai.prompt", "gen_ai.completion", "message", "gen_ai.input.messages"});
    if (content == nullptr) continue;
    if (name == "gen_ai.choice" || name == "gen_ai.assistant.message" || name == "gen_ai.content.completion") {
      answer = read_answer(*content, scratch);
    } else {
      const std::size_t before = scratch.prompt.size();
      read_messages(*content, scratch);
      if (name == "gen_ai.system.message") {
        for (std::size_t i = before; i < scratch.prompt.size(); ++i) scratch.prompt[i].role = templates::Role::kSystem;
      }
    }
  }
}

/// gen_ai.prompt.0.role / gen_ai.prompt.0.content (OpenLLMetry) in order.
void read_numbered(const Attributes& attributes, std::string_view prefix, Scratch& scratch) {
  templates::Role role = templates::Role::kUser;
  for (const auto& [name, value] : attributes.all()) {
    if (!name.starts_with(prefix)) continue;
    std::string_view text;
    if (value.get(text) != simdjson::SUCCESS) continue;
    if (name.ends_with(".role")) {
      role = text == "system" ? templates::Role::kSystem : text == "assistant" ? templates::Role::kAssistant : templates::Role::kUser;
    } else if (name.ends_with(".content")) {
      scratch.prompt.push_back({role, text});
    }
  }
}

}  // namespace

void emit_genai(SpanView& span, const AdapterOptions& options, Scratch& scratch, RecordSink& sink) {
  const Attributes& a = span.attributes;
  const std::string_view operation = a.text({"gen_ai.operation.name", "llm.request.type"});
  const std::string_view traceloop_kind = a.text({"traceloop.span.kind"});
  SpanRecord record;
  record.trace_id = span.trace_id;
  record.span_id = span.span_id;
  record.parent_id = span.parent_id;
  const std::string_view prompt_name = a.text({"gen_ai.prompt.name"});
  record.name = best_name({prompt_name, a.text({"gen_ai.agent.name"}), a.text({"graph.node.name", "traceloop.entity.name"}),
                           without_operation(span.name)});
  record.wraps = operation == "invoke_agent" || operation == "create_agent" || operation == "execute_tool" ||
                 operation == "invoke_workflow" || traceloop_kind == "workflow" || traceloop_kind == "task" || traceloop_kind == "agent" ||
                 traceloop_kind == "tool";
  CallRecord& r = record.call;
  const auto in = a.count({"gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.usage.prompt_tokens"}, span.error);
  const auto out = a.count({"gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.usage.completion_tokens"}, span.error);
  r.model = a.text({"gen_ai.response.model", "gen_ai.request.model", "llm.response.model", "llm.request.model"});
  record.has_call = (in || out) && !r.model.empty();
  if (!record.has_call && (in || out) && span.error.empty()) span.error = "gen_ai.request.model is missing beside token counts";
  if (record.has_call) {
    r.usage.input = in.value_or(0);
    r.usage.output = out.value_or(0);
    r.usage.cached_input = a.count({"gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens",
                                    "gen_ai.usage.cached_input_tokens", "gen_ai.usage.input_tokens.cached",
                                    "gen_ai.usage.details.cache_read_tokens", "gen_ai.usage.prompt_tokens_details.cached_tokens"}, span.error).value_or(0);
    r.usage.cache_write_5m = a.count({"gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.cache_creation_input_tokens",
                                      "gen_ai.usage.cache_write_input_tokens", "gen_ai.usage.details.cache_write_tokens"}, span.error).value_or(0);
    r.usage.reasoning = a.count({"gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens", "gen_ai.usage.output_tokens.reasoning",
                                 "gen_ai.usage.completion_tokens_details.reasoning_tokens", "gen_ai.usage.details.reasoning_tokens"}, span.error).value_or(0);
    settle_cached(r.usage, options.cached_inside);
    if (r.usage.reasoning > r.usage.output) r.usage.output += r.usage.reasoning;
    r.at = span.start;
    r.latency_ms = latency_of(span);
    r.request_id = span.trace_id;
    r.provider = a.text({"gen_ai.provider.name", "gen_ai.system"});
    r.service_tier = a.text({"openai.response.service_tier", "gen_ai.openai.response.service_tier", "openai.request.service_tier",
                             "gen_ai.openai.request.service_tier"});
    r.failed = span.failed;
    r.consumer = a.text({"consumer", "understudy.consumer", "user.id", "enduser.id"});
    if (const dom::element* cost = a.first({"gen_ai.usage.cost", "gen_ai.usage.total_cost", "llm.usage.cost"})) r.cost_logged = read_usd(*cost);
    const std::string_view path = a.text({"understudy.path", "path"});
    if (path == "online") r.path = CallPath::kOnline;
    if (path == "offline") r.path = CallPath::kOffline;
    r.step = a.text({"step", "understudy.step", "gen_ai.step", "metadata.step"});
    r.step_source = StepSource::kExplicit;
    if (r.step.empty()) {
      if (const dom::element* tags = a.first({"tags", "tag.tags", "langfuse.trace.tags"})) r.step = step_of_tags(*tags);
    }
    if (r.step.empty() && !prompt_name.empty()) {
      r.step = prompt_name;
      r.step_source = StepSource::kPromptName;
    }
    if (r.step.empty()) {
      if (const auto step = step_of_operation(operation)) {
        r.step = *step;
        r.step_source = StepSource::kSpanKind;
      }
    }
    if (const dom::element* system = a.find("gen_ai.system_instructions")) {
      read_messages(*system, scratch);
      for (auto& part : scratch.prompt) part.role = templates::Role::kSystem;
    }
    if (const dom::element* messages = a.first({"gen_ai.input.messages", "gen_ai.prompt", "input.value"})) read_messages(*messages, scratch);
    if (const dom::element* answer = a.first({"gen_ai.output.messages", "gen_ai.completion", "output.value"})) r.answer = read_answer(*answer, scratch);
    if (scratch.prompt.empty()) read_numbered(a, "gen_ai.prompt.", scratch);
    if (r.answer.empty()) r.answer = a.text({"gen_ai.completion.0.content"});
    if (span.events) read_event_messages(*span.events, scratch, r.answer);
    r.prompt = scratch.prompt;
  }
  if (!span.error.empty()) return sink.malformed(span.error);
  if (!record.has_call) sink.not_a_call();
  sink.span(record);
}

void read_otlp(dom::element document, const AdapterOptions& options, Scratch& scratch, RecordSink& sink) {
  read_spans(document, options, scratch, sink);
}

}  // namespace understudy::audit
