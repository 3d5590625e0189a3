// Amazon Bedrock model invocation logs (docs.aws.amazon.com/bedrock: model-invocation-logging). Cached tokens are outside
// inputTokenCount; a step can only come from requestMetadata or the prompt.
#include "audit/adapters/adapters.h"
#include "audit/steps.h"

namespace understudy::audit {
namespace {

void read_log(dom::element element, Scratch& scratch, RecordSink& sink) {
  dom::object object;
  if (element.get(object) != simdjson::SUCCESS) return sink.malformed("a log entry is not an object");
  Fields f(object);
  CallRecord r;
  r.at = f.time({"timestamp"});
  r.call_id = f.text({"requestId"});
  r.model = f.text({"modelId"});
  r.provider = "aws";
  r.account = f.text({"accountId"});
  r.failed = !f.text({"errorCode"}).empty();
  if (auto identity = f.object({"identity"}, scratch)) r.consumer = identity->text({"arn"});
  auto in = f.object({"input"}, scratch);
  auto out = f.object({"output"}, scratch);
  std::optional<std::int64_t> tokens;
  if (in) {
    tokens = in->count({"inputTokenCount"});
    r.usage.cached_input = in->count({"cacheReadInputTokenCount"}).value_or(0);
    r.usage.cache_write_5m = in->count({"cacheWriteInputTokenCount"}).value_or(0);
    r.usage.input = tokens.value_or(0) + r.usage.cached_input + r.usage.cache_write_5m;
    if (auto body = in->object({"inputBodyJson"}, scratch)) {
      if (auto messages = body->first({"system"})) {
        read_messages(*messages, scratch);
        for (auto& part : scratch.prompt) part.role = templates::Role::kSystem;
      }
      if (auto messages = body->first({"messages", "prompt", "inputText"})) read_messages(*messages, scratch);
    }
    if (f.error.empty()) f.error = in->error;
  }
  if (out) {
    r.usage.output = out->count({"outputTokenCount"}).value_or(0);
    if (auto body = out->object({"outputBodyJson"}, scratch)) {
      const Fields inner = body->object({"output"}, scratch).value_or(*body);
      if (auto message = inner.first({"message", "content", "completion", "results"})) r.answer = read_answer(*message, scratch);
      if (auto metrics = body->object({"metrics"}, scratch)) r.latency_ms = metrics->count({"latencyMs"}).value_or(-1);
    }
    if (f.error.empty()) f.error = out->error;
  }
  if (auto metadata = f.object({"requestMetadata"}, scratch)) {
    r.step = step_of_metadata(*metadata);
    r.request_id = metadata->text({"request_id", "requestId", "session_id", "trace_id"});
    r.step_source = StepSource::kExplicit;
  }
  if (r.step.empty() && r.model.find("embed") != std::string_view::npos) {
    r.step = "embed";
    r.step_source = StepSource::kSpanKind;
  }
  r.prompt = scratch.prompt;
  if (!f.error.empty()) return sink.malformed(f.error);
  if (r.model.empty()) return sink.not_a_call();
  if (!tokens && !r.failed) return sink.malformed("input.inputTokenCount is missing");
  sink.call(r);
}

}  // namespace

void read_bedrock(dom::element document, const AdapterOptions&, Scratch& scratch, RecordSink& sink) {
  each_item(document, {"Records", "logs"}, [&](dom::element item) {
    scratch.prompt.clear();
    read_log(item, scratch, sink);
  });
}

}  // namespace understudy::audit
