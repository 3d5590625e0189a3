// Containers of spans. OTLP/JSON: opentelemetry-proto's JSON mapping (lowerCamelCase, ids as hex, int64 as strings). Python:
// opentelemetry.sdk.trace.ReadableSpan.to_json. Phoenix: one row a span with "attributes.x.y" columns and "context.span_id".
#include "audit/adapters/span_view.h"

#include "audit/steps.h"

namespace understudy::audit {
namespace {

/// {"stringValue": "x"} -> "x"; other values stay.
dom::element unwrap(dom::element value) {
  dom::object object;
  if (value.get(object) != simdjson::SUCCESS || object.size() != 1) return value;
  for (const char* key : {"stringValue", "intValue", "doubleValue", "boolValue", "string_value", "int_value", "double_value", "bool_value"}) {
    if (dom::element inner; object[key].get(inner) == simdjson::SUCCESS) return inner;
  }
  for (const char* key : {"arrayValue", "array_value", "kvlistValue"}) {
    if (dom::element inner; object[key]["values"].get(inner) == simdjson::SUCCESS) return inner;
  }
  return value;
}

bool status_failed(const Fields& f) {
  dom::element status;
  if (auto s = f.get("status")) status = *s;
  else return false;
  dom::element code;
  if (status.is_object()) {
    if (status["code"].get(code) != simdjson::SUCCESS && status["status_code"].get(code) != simdjson::SUCCESS) return false;
  } else {
    code = status;
  }
  std::int64_t n = 0;
  if (code.get(n) == simdjson::SUCCESS) return n == 2;  // STATUS_CODE_ERROR
  return means_failure(code);
}

/// Takes "0x" and quotes of the console exporter off an id.
std::string_view plain_id(std::string_view id) { return id.starts_with("0x") ? id.substr(2) : id; }

void read_span(dom::element element, const AdapterOptions& options, Scratch& scratch, RecordSink& sink) {
  dom::object object;
  if (element.get(object) != simdjson::SUCCESS) return sink.malformed("a span is not an object");
  Fields f(object);
  SpanView span;
  std::optional<Fields> context = f.object({"context"}, scratch);
  const Fields& ids = context ? *context : f;
  span.trace_id = plain_id(ids.text({"trace_id", "traceId", "context.trace_id"}));
  span.span_id = plain_id(ids.text({"span_id", "spanId", "context.span_id"}));
  if (span.trace_id.empty()) span.trace_id = plain_id(f.text({"context.trace_id", "traceId", "trace_id"}));
  if (span.span_id.empty()) span.span_id = plain_id(f.text({"context.span_id", "spanId", "span_id"}));
  span.parent_id = plain_id(f.text({"parentSpanId", "parent_span_id", "parent_id", "parentId"}));
  if (span.parent_id.find_first_not_of('0') == std::string_view::npos) span.parent_id = {};
  span.name = f.text({"name"});
  span.start = f.time({"startTimeUnixNano", "start_time_unix_nano", "start_time", "startTime"});
  span.end = f.time({"endTimeUnixNano", "end_time_unix_nano", "end_time", "endTime"});
  span.failed = status_failed(f) || f.text({"status_code"}) == "ERROR";
  span.events = f.get("events");
  span.error = f.error;
  if (auto attributes = f.get("attributes")) span.attributes.read(*attributes, scratch);
  for (const auto [key, value] : object) {  // Phoenix columns
    if (key.starts_with("attributes.") && !value.is_null()) {
      if (value.is_object()) {
        dom::object inner;
        if (value.get(inner) == simdjson::SUCCESS) span.attributes.add(key.substr(11), value);
      } else {
        span.attributes.add(key.substr(11), value);
      }
    }
  }
  if (std::string_view kind = f.text({"span_kind"}); !kind.empty() && span.attributes.find("openinference.span.kind") == nullptr) {
    span.attributes.add("openinference.span.kind", *f.get("span_kind"));
  }
  emit_span(span, options, scratch, sink);
}

}  // namespace

void Attributes::flatten(std::string_view prefix, dom::object object, Scratch& scratch, int depth) {
  for (const auto [key, value] : object) {
    const std::string_view name = prefix.empty() ? key : scratch.keep(std::string(prefix) + "." + std::string(key));
    if (value.is_null()) continue;
    list_.emplace_back(name, value);
    if (value.is_object() && depth < 6) {
      dom::object inner;
      if (value.get(inner) == simdjson::SUCCESS) flatten(name, inner, scratch, depth + 1);
    }
  }
}

void Attributes::read(dom::element attributes, Scratch& scratch) {
  if (dom::array list; attributes.get(list) == simdjson::SUCCESS) {
    for (const dom::element entry : list) {
      std::string_view key;
      dom::element value;
      if (entry["key"].get(key) == simdjson::SUCCESS && entry["value"].get(value) == simdjson::SUCCESS) list_.emplace_back(key, unwrap(value));
    }
    return;
  }
  const auto object_element = scratch.json(attributes);
  dom::object object;
  if (object_element && object_element->get(object) == simdjson::SUCCESS) flatten({}, object, scratch, 0);
}

const dom::element* Attributes::find(std::string_view key) const {
  for (const auto& [name, value] : list_) {
    if (name == key) return &value;
  }
  return nullptr;
}

const dom::element* Attributes::first(std::initializer_list<std::string_view> keys) const {
  for (const std::string_view key : keys) {
    if (const dom::element* value = find(key)) return value;
  }
  return nullptr;
}

std::string_view Attributes::text(std::initializer_list<std::string_view> keys) const {
  for (const std::string_view key : keys) {
    std::string_view out;
    if (const dom::element* value = find(key); value != nullptr && value->get(out) == simdjson::SUCCESS && !out.empty()) return out;
  }
  return {};
}

std::optional<std::int64_t> Attributes::count(std::initializer_list<std::string_view> keys, std::string& error) const {
  for (const std::string_view key : keys) {
    const dom::element* value = find(key);
    if (value == nullptr) continue;
    std::int64_t out = 0;
    switch (read_count(*value, out)) {
      case CountResult::kOk: return out;
      case CountResult::kMissing: break;
      case CountResult::kBad:
        if (error.empty()) error = std::string(key) + " is not a whole number from 0 to 1e12";
        return std::nullopt;
    }
  }
  return std::nullopt;
}

bool Attributes::any_with_prefix(std::string_view prefix) const {
  for (const auto& [name, value] : list_) {
    if (name.starts_with(prefix)) return true;
  }
  return false;
}

void emit_span(SpanView& span, const AdapterOptions& options, Scratch& scratch, RecordSink& sink) {
  if (span.attributes.find("openinference.span.kind") != nullptr || span.attributes.any_with_prefix("llm.token_count.")) {
    emit_openinference(span, options, scratch, sink);
  } else {
    emit_genai(span, options, scratch, sink);
  }
}

void read_spans(dom::element document, const AdapterOptions& options, Scratch& scratch, RecordSink& sink) {
  dom::array resources;
  if (document["resourceSpans"].get(resources) != simdjson::SUCCESS && document["resource_spans"].get(resources) != simdjson::SUCCESS) {
    each_item(document, {"data", "spans"}, [&](dom::element span) { read_span(span, options, scratch, sink); });
    return;
  }
  for (const dom::element resource : resources) {
    for (const char* scopes_key : {"scopeSpans", "scope_spans", "instrumentationLibrarySpans"}) {
      dom::array scopes;
      if (resource[scopes_key].get(scopes) != simdjson::SUCCESS) continue;
      for (const dom::element scope : scopes) {
        dom::array spans;
        if (scope["spans"].get(spans) != simdjson::SUCCESS) continue;
        for (const dom::element span : spans) {
          // Parsers of JSON in strings are kept per document, message parts per span.
          scratch.prompt.clear();
          read_span(span, options, scratch, sink);
        }
      }
    }
  }
}

void settle_cached(Usage& usage, std::optional<bool> inside) {
  const std::int64_t beside = usage.cached_input + usage.cache_write_5m + usage.cache_write_1h;
  if (inside.has_value() ? !*inside : beside > usage.input) usage.input += beside;
}

std::string_view best_name(std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    if (!name.empty() && is_known_step(name)) return name;
  }
  for (const std::string_view name : names) {
    if (!name.empty() && !is_generic_name(name)) return name;
  }
  for (const std::string_view name : names) {
    if (!name.empty()) return name;
  }
  return {};
}

std::int64_t latency_of(const SpanView& span) {
  if (!span.start || !span.end || span.end->us < span.start->us) return -1;
  return (span.end->us - span.start->us) / 1000;
}

}  // namespace understudy::audit
