#include "audit/call_lines.h"

#include <fmt/format.h>

#include "audit/store_source.h"
#include "base/json_writer.h"
#include "base/time_format.h"

namespace understudy::audit {
namespace {

constexpr std::size_t kPieceBytes = 64 * 1024;

/// Turns records into lines and hands them on in pieces.
class LineSink final : public RecordSink {
 public:
  explicit LineSink(const std::function<Result<void>(std::string_view)>& write) : write_(write) {}

  void call(const CallRecord& record) override {
    append_call_line(record, lines_);
    if (lines_.size() >= kPieceBytes) flush();
  }
  void span(const SpanRecord&) override {}
  void bill(const BillLine&) override {}
  void malformed(std::string_view why) override {
    JsonWriter w(lines_);
    w.begin_object().field("note", why).end_object();
    lines_ += '\n';
  }
  void not_a_call() override {}

  Result<void> flush() {
    if (result_ && !lines_.empty()) result_ = write_(lines_);
    lines_.clear();
    return result_;
  }
  bool full() const override { return !result_; }

 private:
  const std::function<Result<void>(std::string_view)>& write_;
  std::string lines_;
  Result<void> result_;
};

}  // namespace

void append_call_line(const CallRecord& r, std::string& out) {
  JsonWriter w(out);
  w.begin_object();
  if (r.at) w.field("ts", format_rfc3339(*r.at));
  w.field("request_id", r.request_id).field("call_id", r.call_id);
  if (!r.step.empty()) w.field("step", r.step);
  w.field("model", r.model);
  if (!r.provider.empty()) w.field("provider", r.provider);
  w.field("tok_in", r.usage.input).field("tok_out", r.usage.output);
  if (r.usage.cached_input > 0) w.field("cached_in", r.usage.cached_input);
  if (r.usage.cache_write_5m > 0) w.field("cache_write_5m", r.usage.cache_write_5m);
  if (r.usage.cache_write_1h > 0) w.field("cache_write_1h", r.usage.cache_write_1h);
  if (r.usage.reasoning > 0) w.field("reasoning", r.usage.reasoning);
  w.field("status", r.failed ? "error" : "ok");
  if (r.latency_ms >= 0) w.field("latency_ms", r.latency_ms);
  if (r.path != CallPath::kUnknown) w.field("path", r.path == CallPath::kOffline ? "offline" : "online");
  if (r.cost_logged) w.key("cost_usd").raw(format_usd(*r.cost_logged, 12));
  if (!r.account.empty()) w.field("account", r.account);
  if (!r.consumer.empty()) w.field("consumer", r.consumer);
  w.end_object();
  out += '\n';
}

Result<void> export_calls(const std::filesystem::path& data, const std::function<Result<void>(std::string_view)>& write) {
  auto source = open_store_source(data.string());
  if (!source) return fail(std::move(source.error()));
  LineSink sink(write);
  auto read = (*source)->read(sink);
  if (!read) return fail(std::move(read.error()));
  return sink.flush();
}

}  // namespace understudy::audit
