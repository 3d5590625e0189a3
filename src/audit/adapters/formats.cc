// The table of formats and how each is told from the others.
#include <array>

#include "audit/adapters/adapters.h"

namespace understudy::audit {
namespace {

constexpr FormatInfo kFormats[] = {
    {Format::kPlain, "plain", read_plain, false},
    {Format::kOtlp, "otlp", read_otlp, false},
    {Format::kOpenInference, "openinference", read_openinference, false},
    {Format::kLangfuse, "langfuse", read_langfuse, false},
    {Format::kLiteLlm, "litellm", read_litellm, false},
    {Format::kHelicone, "helicone", read_helicone, false},
    {Format::kTensorZero, "tensorzero", read_tensorzero, false},
    {Format::kPortkey, "portkey", read_portkey, false},
    {Format::kOpenAiUsage, "openai-usage", read_openai_usage, true},
    {Format::kOpenAiCosts, "openai-costs", read_openai_costs, true},
    {Format::kAnthropicUsage, "anthropic-usage", read_anthropic_usage, true},
    {Format::kAnthropicCost, "anthropic-cost", read_anthropic_cost, true},
    {Format::kAwsCur, "aws-cur", read_aws_cur, true},
    {Format::kBedrock, "bedrock", read_bedrock, false},
};

bool has(dom::object o, std::string_view key) { return o.at_key(key).error() == simdjson::SUCCESS; }

std::optional<dom::element> first_of(dom::element list) {
  dom::array array;
  if (list.get(array) != simdjson::SUCCESS || array.size() == 0) return std::nullopt;
  return *array.begin();
}

/// "object" of the first result of a usage or costs page, or its marks.
Format detect_page(dom::object o) {
  dom::array data;
  if (o["data"].get(data) != simdjson::SUCCESS) return Format::kAuto;
  for (const dom::element bucket : data) {
    dom::array results;
    if (bucket["results"].get(results) != simdjson::SUCCESS) continue;
    for (const dom::element result : results) {
      dom::object r;
      if (result.get(r) != simdjson::SUCCESS) continue;
      if (has(r, "uncached_input_tokens")) return Format::kAnthropicUsage;
      std::string_view kind;
      if (r["object"].get(kind) == simdjson::SUCCESS) {
        if (kind == "organization.costs.result") return Format::kOpenAiCosts;
        if (kind.starts_with("organization.usage")) return Format::kOpenAiUsage;
      }
      if (has(r, "amount")) return r["amount"].is_object() ? Format::kOpenAiCosts : Format::kAnthropicCost;
      if (has(r, "num_model_requests")) return Format::kOpenAiUsage;
    }
  }
  return Format::kAuto;
}

bool has_prefix(dom::object o, std::string_view prefix) {
  for (const auto [key, value] : o) {
    if (key.starts_with(prefix)) return true;
  }
  return false;
}

}  // namespace

std::span<const FormatInfo> formats() { return kFormats; }

const FormatInfo& format_info(Format format) {
  for (const FormatInfo& info : kFormats) {
    if (info.format == format) return info;
  }
  return kFormats[0];
}

std::optional<Format> format_of_name(std::string_view name) {
  for (const FormatInfo& info : kFormats) {
    if (info.name == name) return info.format;
  }
  if (name == "auto") return Format::kAuto;
  if (name == "plain-jsonl" || name == "plain-csv" || name == "csv") return Format::kPlain;
  if (name == "opentelemetry" || name == "otel") return Format::kOtlp;
  if (name == "phoenix") return Format::kOpenInference;
  return std::nullopt;
}

Format detect_format(dom::element document) {
  if (auto element = first_of(document)) return detect_format(*element);
  dom::object o;
  if (document.get(o) != simdjson::SUCCESS) return Format::kAuto;
  if (has(o, "resourceSpans") || has(o, "resource_spans")) return Format::kOtlp;
  if (has(o, "schemaType") && has(o, "modelId")) return Format::kBedrock;
  if (has(o, "modelId") && has(o, "requestId") && has(o, "input")) return Format::kBedrock;
  if (const Format page = detect_page(o); page != Format::kAuto) return page;
  if (has(o, "line_item_usage_start_date") || has(o, "line_item_unblended_cost") || has(o, "lineItem/UnblendedCost")) return Format::kAwsCur;
  if (has(o, "additional_usage_values") || has(o, "custom_llm_provider") || has(o, "response_cost") ||
      (has(o, "call_type") && has(o, "spend"))) {
    return Format::kLiteLlm;
  }
  if (has(o, "inference_id") && (has(o, "model_name") || has(o, "model_provider_name"))) return Format::kTensorZero;
  if (has(o, "function_name") && has(o, "episode_id")) return Format::kTensorZero;
  if (has(o, "ai_model") || has(o, "req_units") || (has(o, "prompt_slug") && has(o, "ai_org"))) return Format::kPortkey;
  if (has(o, "response_created_at") || has(o, "request_created_at") || has(o, "request_properties") ||
      (has(o, "request_body") && has(o, "response_body")) || has(o, "prompt_cache_read_tokens")) {
    return Format::kHelicone;
  }
  if (has_prefix(o, "attributes.llm.") || has_prefix(o, "attributes.openinference.") || has_prefix(o, "llm.token_count.")) return Format::kOpenInference;
  if (has(o, "attributes") && (has(o, "context") || has(o, "spanId") || has(o, "span_id") || has(o, "traceId") || has(o, "trace_id"))) {
    dom::object attributes;
    if (o["attributes"].get(attributes) == simdjson::SUCCESS &&
        (has(attributes, "openinference.span.kind") || has(attributes, "openinference") || has(attributes, "llm"))) {
      return Format::kOpenInference;
    }
    return Format::kOtlp;
  }
  if ((has(o, "traceId") || has(o, "trace_id")) &&
      (has(o, "usageDetails") || has(o, "usage_details") || has(o, "parentObservationId") || has(o, "parent_observation_id") ||
       has(o, "completionStartTime") || has(o, "promptName") || has(o, "prompt_name") || has(o, "calculatedTotalCost"))) {
    return Format::kLangfuse;
  }
  if (has(o, "model") && (has(o, "tok_in") || has(o, "tok_out"))) return Format::kPlain;
  for (const char* key : {"data", "observations", "results", "rows", "spans"}) {
    dom::element inner;
    if (o[key].get(inner) == simdjson::SUCCESS) {
      if (auto element = first_of(inner)) {
        if (const Format f = detect_format(*element); f != Format::kAuto) return f;
      }
    }
  }
  return Format::kAuto;
}

Format detect_format_text(std::string_view head) {
  struct Mark { std::string_view text; Format format; };
  static constexpr Mark kMarks[] = {
      {"\"resourceSpans\"", Format::kOtlp},        {"\"resource_spans\"", Format::kOtlp},
      {"\"schemaType\"", Format::kBedrock},        {"\"uncached_input_tokens\"", Format::kAnthropicUsage},
      {"organization.usage", Format::kOpenAiUsage}, {"organization.costs", Format::kOpenAiCosts},
      {"\"custom_llm_provider\"", Format::kLiteLlm}, {"\"inference_id\"", Format::kTensorZero},
      {"\"ai_model\"", Format::kPortkey},          {"\"request_created_at\"", Format::kHelicone},
      {"openinference.span.kind", Format::kOpenInference}, {"\"usageDetails\"", Format::kLangfuse},
      {"\"usage_details\"", Format::kLangfuse},    {"\"gen_ai.", Format::kOtlp},
      {"\"tok_in\"", Format::kPlain}};
  for (const Mark& mark : kMarks) {
    if (head.find(mark.text) != std::string_view::npos) return mark.format;
  }
  return Format::kAuto;
}

}  // namespace understudy::audit
