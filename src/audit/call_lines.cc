#include "audit/call_lines.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "audit/store_source.h"
#include "base/json_writer.h"
#include "base/time_format.h"
#include "net/client.h"

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
  bool failed() const { return !result_; }

 private:
  const std::function<Result<void>(std::string_view)>& write_;
  std::string lines_;
  Result<void> result_;
};

Result<void> write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail(ErrorKind::kIo, fmt::format("cannot keep the calls in {}: {}", "a temporary file", std::strerror(errno)));
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

net::Task<void> download(net::ClientPool& pool, net::ClientTarget& target, std::string_view key, int fd) {
  std::array<net::Field, 1> fields;
  const std::string bearer = "Bearer " + std::string(key);
  fields[0] = {"authorization", bearer};
  net::ClientRequest request("GET", "/admin/api/calls", std::span(fields.data(), key.empty() ? 0 : 1));
  UNDERSTUDY_AWAIT(response, pool.send(target, request));
  if (response.status() != 200) {
    UNDERSTUDY_AWAIT(body, response.read_all(64 * 1024));
    co_return fail(ErrorKind::kUsage, fmt::format("the gateway answered {}: {}", response.status(), std::string(body.substr(0, 500))));
  }
  if (!response.find("content-type").value_or("").starts_with("application/x-ndjson")) {
    co_return fail(ErrorKind::kUsage, "what answers there is no understudy gateway");
  }
  while (true) {
    UNDERSTUDY_AWAIT(slice, response.next());
    if (!slice) co_return Result<void>();
    if (auto written = write_all(fd, *slice); !written) co_return fail(std::move(written.error()));
  }
}

Result<int> nameless_file() {
  const char* folder = std::getenv("TMPDIR");
  std::string name = fmt::format("{}/understudy-calls-XXXXXX", folder != nullptr && *folder != '\0' ? folder : "/tmp");
  const int fd = ::mkostemp(name.data(), O_CLOEXEC);
  if (fd < 0) return fail(ErrorKind::kIo, fmt::format("cannot make a temporary file {}: {}; set TMPDIR to a folder with room", name, std::strerror(errno)));
  ::unlink(name.c_str());
  return fd;
}

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

Result<FetchedCalls> FetchedCalls::fetch(const std::string& url, std::string_view key) {
  const auto named = [&](Error error) {
    error.message = fmt::format("--from {}: {}", url, error.message);
    error.kind = ErrorKind::kUsage;
    return fail(std::move(error));
  };
  auto parsed = net::parse_url(url);
  if (!parsed) return named(std::move(parsed.error()));
  auto fd = nameless_file();
  if (!fd) return fail(std::move(fd.error()));
  FetchedCalls calls(*fd);
  auto reactor = net::Reactor::create();
  if (!reactor) return fail(std::move(reactor.error()));
  net::ClientOptions options;
  options.max_body_bytes = std::uint64_t{1} << 50;
  net::ClientPool pool(**reactor, options);
  auto done = net::block_on(**reactor, download(pool, pool.target(*parsed), key, calls.fd_));
  if (!done) return named(std::move(done.error()));
  return calls;
}

FetchedCalls::FetchedCalls(FetchedCalls&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

FetchedCalls::~FetchedCalls() {
  if (fd_ >= 0) ::close(fd_);
}

std::string FetchedCalls::path() const { return fmt::format("/proc/self/fd/{}", fd_); }

}  // namespace understudy::audit
