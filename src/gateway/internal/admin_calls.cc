// GET /admin/api/calls: the gateway's own log as lines, for `understudy audit --from URL`.
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "base/log.h"
#include "gateway/internal/aside.h"
#include "gateway/internal/callers.h"
#include "gateway/internal/service.h"

namespace understudy::gateway::internal {
namespace {

constexpr std::size_t kPieceBytes = 64 * 1024;

/// The log is read by a thread of its own (SQLite may block) into a nameless file; the reactor sends the file, whose pages were just
/// written and so are in memory. Not handed over piece by piece: a client that reads slowly would hold a read transaction open,
/// and with it SQLite's write-ahead log.
struct Export {
  Export() = default;
  Export(const Export&) = delete;
  Export& operator=(const Export&) = delete;
  ~Export() {
    if (file != nullptr) std::fclose(file);
  }
  std::FILE* file = nullptr;
  Result<void> result;
};

void run_export(Shared& shared, Export& job) {
  job.file = std::tmpfile();
  if (job.file == nullptr) {
    job.result = fail(ErrorKind::kIo, fmt::format("cannot make a temporary file: {}", std::strerror(errno)));
  } else {
    job.result = shared.options.export_calls([&](std::string_view piece) -> Result<void> {
      if (shared.draining.load(std::memory_order_relaxed)) return fail(ErrorKind::kOverloaded, "The gateway is stopping.");
      if (std::fwrite(piece.data(), 1, piece.size(), job.file) == piece.size()) return {};
      return fail(ErrorKind::kIo, fmt::format("cannot write a temporary file: {}", std::strerror(errno)));
    });
    if (job.result && std::fflush(job.file) != 0) job.result = fail(ErrorKind::kIo, fmt::format("cannot write a temporary file: {}", std::strerror(errno)));
  }
}

}  // namespace

net::Task<void> ReactorService::admin_calls(net::Exchange& exchange, std::span<const net::Field> id_field) {
  const auto keys = snapshot_.keys;
  if (auto allowed = authenticate_operator(exchange, *keys, reactor_.clock(), OperatorScope::kAudit); !allowed) co_return co_await exchange.respond_error(allowed.error(), id_field);
  if (!shared_->options.export_calls) {
    const Error error(ErrorKind::kNotFound, "Nothing is recorded here.");
    co_return co_await exchange.respond_error(error, id_field);
  }
  if (shared_->exporting.exchange(true)) {
    Error error(ErrorKind::kOverloaded, "Another export of the log is running; try again when it has ended.");
    error.retry_after_ms = 5'000;
    co_return co_await exchange.respond_error(error, id_field);
  }
  Export job;
  Aside aside(reactor_, [this, &job] { run_export(*shared_, job); });
  [[maybe_unused]] const bool ended = co_await aside.done();
  aside.join();
  shared_->exporting.store(false);
  if (!job.result) {
    log::warn("the log could not be exported: {}", job.result.error().message);
    co_return co_await exchange.respond_error(job.result.error(), id_field);
  }

  const int fd = ::fileno(job.file);
  std::vector<char> piece(kPieceBytes);
  const std::array<net::Field, 2> fields{id_field.front(), net::Field("content-type", "application/x-ndjson")};
  exchange.start_stream(200, fields);
  for (off_t offset = 0;;) {
    const ssize_t got = ::pread(fd, piece.data(), piece.size(), offset);
    if (got < 0) {
      exchange.abort();
      co_return fail(ErrorKind::kIo, fmt::format("cannot read a temporary file: {}", std::strerror(errno)));
    }
    if (got == 0) break;
    offset += got;
    auto sent = co_await exchange.write(std::string_view(piece.data(), static_cast<std::size_t>(got)));
    if (!sent) co_return fail(std::move(sent.error()));
  }
  co_return co_await exchange.finish(std::string_view());
}

}  // namespace understudy::gateway::internal
