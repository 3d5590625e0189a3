// OpenInference semantic conventions (Arize Phoenix): llm.model_name, llm.token_count.*, openinference.span.kind. Cached
// tokens are inside the prompt count, reasoning inside the completion count.
#include "audit/adapters/span_view.h"
#include "audit/steps.h"

namespace understudy::audit {
namespace {

/// llm.input_messages.0.message.role / .content, and .contents.0.message_content.text.
void read_numbered_messages(const Attributes& attributes, std::string_view prefix, Scratch& scratch, std::string_view* answer) {
  templates::Role role = templates::Role::kUser;
  std::string joined;
  for (const auto& [name, value] : attributes.all()) {
    if (!name.starts_with(prefix)) continue;
    std::string_view text;
    if (value.get(text) != simdjson::SUCCESS) continue;
    if (name.ends_with("message.role")) {
      role = text == "system" ? templates::Role::kSystem : text == "assistant" ? templates::Role::kAssistant
             : text == "tool" ? templates::Role::kTool : templates::Role::kUser;
    } else if (name.ends_with("message.content") || name.ends_with("message_content.text")) {
      if (answer != nullptr) joined.append(text);
      else scratch.prompt.push_back({role, text});
    }
  }
  if (answer != nullptr && !joined.empty()) *answer = scratch.keep(std::move(joined));
}

}  // namespace

void emit_openinference(SpanView& span, const AdapterOptions& options, Scratch& scratch, RecordSink& sink) {
  const Attributes& a = span.attributes;
  const std::string_view kind = a.text({"openinference.span.kind"});
  SpanRecord record;
  record.trace_id = span.trace_id;
  record.span_id = span.span_id;
  record.parent_id = span.parent_id;
  const std::string_view node = a.text({"graph.node.name"});
  const std::string_view prompt_name = a.text({"prompt.id", "llm.prompt_template.name", "gen_ai.prompt.name"});
  record.name = best_name({prompt_name, a.text({"agent.name"}), node, without_operation(span.name)});
  record.wraps = kind == "AGENT" || kind == "CHAIN" || kind == "TOOL" || kind == "RETRIEVER" || kind == "PROMPT";
  CallRecord& r = record.call;
  const auto in = a.count({"llm.token_count.prompt", "embedding.token_count.prompt"}, span.error);
  const auto out = a.count({"llm.token_count.completion"}, span.error);
  const auto total = a.count({"llm.token_count.total"}, span.error);
  r.model = a.text({"llm.model_name", "embedding.model_name", "reranker.model_name"});
  const bool leaf_kind = kind == "LLM" || kind == "EMBEDDING" || kind == "RERANKER" || kind == "EVALUATOR" || kind == "GUARDRAIL";
  // A reranker without token counts is priced per query.
  record.has_call = !r.model.empty() && (in || out || total || (kind == "RERANKER" && leaf_kind));
  if (record.has_call) {
    r.usage.input = in ? *in : out ? 0 : total.value_or(0);
    r.usage.output = out.value_or(0);
    r.usage.cached_input = a.count({"llm.token_count.prompt_details.cache_read", "llm.token_count.prompt_details.cache_input"}, span.error).value_or(0);
    r.usage.cache_write_5m = a.count({"llm.token_count.prompt_details.cache_write"}, span.error).value_or(0);
    r.usage.reasoning = a.count({"llm.token_count.completion_details.reasoning"}, span.error).value_or(0);
    settle_cached(r.usage, options.cached_inside);
    if (r.usage.reasoning > r.usage.output) r.usage.output += r.usage.reasoning;
    r.at = span.start;
    r.latency_ms = latency_of(span);
    r.request_id = span.trace_id;
    r.provider = a.text({"llm.provider", "llm.system"});
    r.failed = span.failed;
    r.consumer = a.text({"user.id"});
    if (const dom::element* cost = a.find("llm.cost.total")) r.cost_logged = read_usd(*cost);
    r.step = a.text({"metadata.step", "step", "understudy.step"});
    if (r.step.empty()) {
      if (const dom::element* metadata = a.find("metadata")) {
        const auto parsed = scratch.json(*metadata);
        dom::object object;
        if (parsed && parsed->get(object) == simdjson::SUCCESS) r.step = step_of_metadata(Fields(object));
      }
    }
    if (r.step.empty()) {
      if (const dom::element* tags = a.find("tag.tags")) r.step = step_of_tags(*tags);
    }
    r.step_source = StepSource::kExplicit;
    if (r.step.empty() && !prompt_name.empty()) {
      r.step = prompt_name;
      r.step_source = StepSource::kPromptName;
    }
    if (r.step.empty()) {
      if (const auto step = step_of_span_kind(kind)) r.step = *step;
      else if (!node.empty() && !is_generic_name(node)) r.step = node;
      r.step_source = StepSource::kSpanKind;
    }
    read_numbered_messages(a, "llm.input_messages.", scratch, nullptr);
    if (scratch.prompt.empty()) {
      if (const dom::element* messages = a.first({"llm.input_messages", "input.value", "llm.prompts"})) read_messages(*messages, scratch);
    }
    read_numbered_messages(a, "llm.output_messages.", scratch, &r.answer);
    if (r.answer.empty()) {
      if (const dom::element* answer = a.first({"llm.output_messages", "output.value"})) r.answer = read_answer(*answer, scratch);
    }
    r.prompt = scratch.prompt;
  }
  if (!span.error.empty()) return sink.malformed(span.error);
  if (!record.has_call) sink.not_a_call();
  sink.span(record);
}

void read_openinference(dom::element document, const AdapterOptions& options, Scratch& scratch, RecordSink& sink) {
  read_spans(document, options, scratch, sink);
}

}  // namespace understudy::audit
