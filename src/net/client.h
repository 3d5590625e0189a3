#pragma once
/// HTTP/1.1 client of one reactor: keep-alive connections per upstream, deadlines, cancellation, TLS.
///
///     ClientPool pool(reactor, options);
///     ClientTarget& target = pool.target(url);                       // once
///     ClientRequest request("POST", "/v1/chat/completions", fields, body_pieces);
///     request.deadline = Deadline::after_ms(reactor.now(), 30'000);
///     request.cancel = exchange.gone();
///     UNDERSTUDY_AWAIT(response, pool.send(target, request));
///     while (true) {
///       UNDERSTUDY_AWAIT(slice, response.next());
///       if (!slice) break;                                           // complete
///       use(*slice);
///     }
///
/// Errors of every function here: kUpstreamUnreachable (name, connect, TLS, or closed before the first byte of an answer),
/// kUpstreamTimeout, kUpstreamProtocol (not HTTP, cut short, over a limit), kCancelled; the messages name host and port.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "net/cancel.h"
#include "net/deadline.h"
#include "net/http.h"
#include "net/reactor.h"
#include "net/task.h"
#include "net/tls.h"
#include "net/url.h"

namespace understudy::net {

struct ClientOptions {
  std::int64_t connect_timeout_ms = 5'000;      ///< name look-up, TCP and TLS handshake together
  std::int64_t first_byte_timeout_ms = 600'000; ///< request sent until the first byte of the answer
  std::int64_t idle_timeout_ms = 120'000;       ///< silence between two pieces of an answer
  std::int64_t pool_idle_ms = 60'000;           ///< an unused connection is closed after this
  std::size_t pool_size = 64;                   ///< unused connections kept per target
  std::int64_t dns_cache_ms = 30'000;
  std::uint64_t max_body_bytes = 64ull << 20;   ///< of one response: more is kUpstreamProtocol
  HeadLimits head;
  std::shared_ptr<const TlsClientContext> tls;  ///< for https targets; made with the defaults when absent
};

/// Views stay the caller's and must live until `send` has returned.
struct ClientRequest {
  std::string_view method;
  std::string_view path;                        ///< appended to the target's base path; the target's query is added
  std::span<const Field> fields;                ///< without host, content-length, connection: those are ours
  std::span<const std::string_view> body;       ///< sent in order with one gather write
  Deadline deadline;                            ///< of the whole exchange, reading the body included
  CancelToken cancel;                           ///< heard until the response is read or closed: must outlive it
  std::int64_t connect_timeout_ms = 0;          ///< 0: the pool's
  std::int64_t first_byte_timeout_ms = 0;       ///< 0: the pool's
  std::int64_t idle_timeout_ms = 0;             ///< 0: the pool's

  // A constructor, not an aggregate: g++ 12 destroys aggregates in co_await expressions twice.
  ClientRequest(std::string_view m, std::string_view p, std::span<const Field> f = {}, std::span<const std::string_view> b = {})
      : method(m), path(p), fields(f), body(b) {}
};

namespace internal {
class Reply;
class PoolState;
}  // namespace internal

/// An upstream as one pool knows it. Stable address; lives as long as the pool.
class ClientTarget;

struct ClientStats {
  std::uint64_t requests = 0;
  std::uint64_t connects = 0;        ///< connections opened
  std::uint64_t reused = 0;          ///< requests sent on a kept connection
  std::uint64_t stale_retries = 0;   ///< a kept connection had died; sent again on a fresh one
  std::uint64_t failures = 0;
  std::size_t idle = 0;              ///< kept and unused now
  std::size_t in_use = 0;
};

/// An answer whose head has arrived. Movable; destroying it gives the connection back to the pool when the body has
/// been read to its end, else closes it.
class ClientResponse {
 public:
  ClientResponse(ClientResponse&&) noexcept;
  ClientResponse& operator=(ClientResponse&&) noexcept;
  ~ClientResponse();

  /// Valid until the response is destroyed, moved-to objects included.
  const ResponseHead& head() const;
  int status() const { return head().status; }
  std::span<const Field> fields() const { return head().fields; }
  std::optional<std::string_view> find(std::string_view name) const { return head().find(name); }
  bool complete() const;  ///< the whole body has been handed out

  /// The next slice of the body without its framing, as large as what has arrived; nullopt at the end. A slice is valid
  /// until the next call on this object. While it waits, no buffer is held.
  Task<std::optional<std::string_view>> next();
  /// What `next` would return without waiting: nullopt when nothing has arrived (or at the end: see `complete()`).
  Result<std::optional<std::string_view>> poll();
  /// The rest of the body in one piece; not copied where it arrived in one piece. Valid until this object is destroyed.
  /// kUpstreamProtocol when it is longer than `limit` bytes (0: the pool's max_body_bytes).
  Task<std::string_view> read_all(std::uint64_t limit = 0);
  /// Gives the connection back or closes it now; slices handed out before are no longer valid, `head()` stays so.
  void close();

 private:
  friend class internal::PoolState;
  explicit ClientResponse(std::unique_ptr<internal::Reply> reply);
  std::unique_ptr<internal::Reply> reply_;
};

/// All connections of one reactor to upstreams. Must outlive its responses.
class ClientPool {
 public:
  explicit ClientPool(Reactor& reactor, ClientOptions options = {});
  ~ClientPool();
  ClientPool(const ClientPool&) = delete;
  ClientPool& operator=(const ClientPool&) = delete;

  /// The target for a URL, made at first use. Scheme, host, port, base path and query tell targets apart.
  ClientTarget& target(const Url& url);
  static const Url& url_of(const ClientTarget& target);

  /// Sends and waits for the head of the answer (1xx are skipped). A request that fails on a kept connection before any
  /// byte of the answer is sent once more on a fresh connection; nothing else is retried here.
  Task<ClientResponse> send(ClientTarget& target, ClientRequest request);

  /// Closes what is idle now; connections in use close when their responses end.
  void close_idle();
  ClientStats stats() const;
  Reactor& reactor();

 private:
  std::unique_ptr<internal::PoolState> state_;
};

}  // namespace understudy::net
