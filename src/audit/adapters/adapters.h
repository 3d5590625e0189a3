#pragma once
/// One function a format: reads one JSON document (a line, an element of a list, a whole page) into the sink. Stateless;
/// any thread with its own scratch and sink.

#include <simdjson.h>

#include <array>
#include <optional>
#include <span>
#include <string_view>

#include "audit/fields.h"
#include "audit/record.h"

namespace understudy::audit {

enum class Format : std::uint8_t {
  kAuto, kPlain, kOtlp, kOpenInference, kLangfuse, kLiteLlm, kHelicone, kTensorZero, kPortkey,
  kOpenAiUsage, kOpenAiCosts, kAnthropicUsage, kAnthropicCost, kAwsCur, kBedrock, kMixed
};

struct AdapterOptions {
  std::optional<bool> cached_inside;  ///< --cached-inside / --cached-outside; formats that tell ignore it
};

using ReadDocument = void (*)(dom::element, const AdapterOptions&, Scratch&, RecordSink&);

void read_plain(dom::element, const AdapterOptions&, Scratch&, RecordSink&);
void read_otlp(dom::element, const AdapterOptions&, Scratch&, RecordSink&);
void read_openinference(dom::element, const AdapterOptions&, Scratch&, RecordSink&);
void read_langfuse(dom::element, const AdapterOptions&, Scratch&, RecordSink&);
void read_litellm(dom::element, const AdapterOptions&, Scratch&, RecordSink&);
void read_helicone(dom::element, const AdapterOptions&, Scratch&, RecordSink&);
void read_tensorzero(dom::element, const AdapterOptions&, Scratch&, RecordSink&);
void read_portkey(dom::element, const AdapterOptions&, Scratch&, RecordSink&);
void read_openai_usage(dom::element, const AdapterOptions&, Scratch&, RecordSink&);
void read_openai_costs(dom::element, const AdapterOptions&, Scratch&, RecordSink&);
void read_anthropic_usage(dom::element, const AdapterOptions&, Scratch&, RecordSink&);
void read_anthropic_cost(dom::element, const AdapterOptions&, Scratch&, RecordSink&);
void read_aws_cur(dom::element, const AdapterOptions&, Scratch&, RecordSink&);
void read_bedrock(dom::element, const AdapterOptions&, Scratch&, RecordSink&);

struct FormatInfo {
  Format format;
  std::string_view name;   ///< for --format and the report
  ReadDocument read;
  bool billing;            ///< no steps: Test 1 and reconciliation only
};
std::span<const FormatInfo> formats();
const FormatInfo& format_info(Format format);
std::optional<Format> format_of_name(std::string_view name);

/// The format whose marks `document` carries; kAuto where none does.
Format detect_format(dom::element document);
/// The same for the beginning of a document that is too long to be looked at whole.
Format detect_format_text(std::string_view head);

/// Calls `each` for the value itself, or for each element where it is a list or an object that holds one under a key such
/// as "data", "results", "observations".
template <typename F>
void each_item(dom::element document, std::initializer_list<std::string_view> keys, F&& each) {
  if (dom::array list; document.get(list) == simdjson::SUCCESS) {
    for (const dom::element item : list) each(item);
    return;
  }
  dom::object object;
  if (document.get(object) == simdjson::SUCCESS) {
    for (const std::string_view key : keys) {
      dom::array list;
      if (object.at_key(key).get(list) == simdjson::SUCCESS) {
        for (const dom::element item : list) each(item);
        return;
      }
    }
  }
  each(document);
}

}  // namespace understudy::audit
