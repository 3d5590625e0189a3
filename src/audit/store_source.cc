#include "audit/store_source.h"

#include <fmt/format.h>

#include "store/queries.h"

namespace understudy::audit {
namespace {

class StoreSource final : public RecordSource {
 public:
  StoreSource(store::StoreReader reader, std::string path) : reader_(std::move(reader)), path_(std::move(path)) {}

  std::string_view name() const override { return path_; }

  Result<bool> read(RecordSink& sink) override {
    store::StoreReader::ScanOptions options;
    options.unfinished = true;  // what was paid is paid, also where the client got nothing
    auto visited = reader_.scan(options, [&](const store::RequestDetail& detail) {
      for (const store::AttemptRecord& attempt : detail.attempts) emit(detail.request, attempt, sink);
      return !sink.full();
    });
    if (!visited) return fail(std::move(visited.error()));
    return true;
  }

 private:
  static void emit(const store::RequestRecord& request, const store::AttemptRecord& attempt, RecordSink& sink) {
    if (attempt.provider.empty()) return sink.not_a_call();  // cache, neighbours, specialists: nothing upstream
    if (!attempt.usage && !attempt.error.empty()) return sink.not_a_call();  // refused, cut off: nothing was counted
    if (!attempt.usage) return sink.malformed(fmt::format("request {} attempt {}: no usage was recorded", request.request_id, attempt.attempt));
    // Stages of one request are calls of their own, not retries of each other.
    const std::string call = fmt::format("{}/{}", request.request_id, attempt.attempt);
    CallRecord r;
    r.at = WallTime{attempt.finished.us - attempt.latency_us};
    r.request_id = request.session.empty() ? request.request_id : request.session;
    r.call_id = call;
    r.step = request.task;
    r.step_source = StepSource::kExplicit;
    r.model = attempt.upstream_model.empty() ? attempt.model : attempt.upstream_model;
    r.provider = attempt.provider;
    r.usage = *attempt.usage;
    r.failed = !attempt.error.empty();
    r.latency_ms = attempt.latency_us / 1000;
    r.path = attempt.off_path ? CallPath::kOffline : CallPath::kOnline;
    r.cost_logged = attempt.cost;
    r.account = request.key;
    r.consumer = request.consumer;
    sink.call(r);
  }

  store::StoreReader reader_;
  std::string path_;
};

}  // namespace

Result<std::unique_ptr<RecordSource>> open_store_source(const std::string& from) {
  if (from.find("://") != std::string::npos) {
    return fail(ErrorKind::kUsage, fmt::format("--from {}: only http:// and https:// addresses of gateways and data directories can be read", from));
  }
  auto reader = store::StoreReader::open(from);
  if (!reader) {
    const bool absent = reader.error().kind == ErrorKind::kNotFound;
    return fail(ErrorKind::kUsage, fmt::format("--from {}: {}", from, absent ? "holds no gateway's log (no store.sqlite); name the folder that `data` in its configuration names" : reader.error().message));
  }
  return std::make_unique<StoreSource>(std::move(*reader), from);
}

}  // namespace understudy::audit
