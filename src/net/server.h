#pragma once
/// HTTP/1.1 server: one reactor and one accept socket (SO_REUSEPORT) per worker thread, no hand-off between threads.
/// A connection stays on the reactor that accepted it; its requests are served one after another, in order.
///
///     class Hello : public net::Service {
///       net::Awaitable<void> handle(net::Exchange& exchange) override {
///         co_await exchange.respond(200, {}, "hello\n");
///       }
///     };
///     auto server = net::Server::create(options, [](net::Reactor&) -> Result<std::unique_ptr<net::Service>> {
///       return std::make_unique<Hello>();
///     });
///     (*server)->port();                  // requests are being served
///     (*server)->drain(10'000);           // stop accepting, finish, join

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "net/cancel.h"
#include "net/http.h"
#include "net/reactor.h"
#include "net/task.h"
#include "net/tls_server.h"

namespace understudy::net {

namespace internal {
class ServerConnection;
}

/// Every bound of the server. Time limits are checked by one scan each 100 ms, so they fire up to that much late.
struct ServerLimits {
  HeadLimits head;                               ///< over it: 431
  std::uint64_t body_bytes = 32ull << 20;        ///< over it: 413
  std::int64_t head_ms = 10'000;                 ///< first byte of a request until its head is complete: 408; a TLS handshake: closed
  std::int64_t body_ms = 60'000;                 ///< head until the body is complete: 408
  std::int64_t idle_ms = 75'000;                 ///< between two requests, or before the first: closed silently
  std::int64_t write_stall_ms = 60'000;          ///< the client takes no byte of an answer: closed
  std::size_t connections = 20'000;              ///< of all workers: one more gets 503 and is closed
  std::size_t requests = 10'000;                 ///< in handlers of all workers: one more gets 503
};

struct ServerOptions {
  std::string listen = "127.0.0.1:0";            ///< ADDRESS:PORT, [V6]:PORT or NAME:PORT; port 0: the system chooses
  unsigned workers = 0;                          ///< 0: one per processor we may use
  std::shared_ptr<const TlsServerContext> tls;   ///< null: plain HTTP
  ServerLimits limits;
  const Clock* clock = &system_clock();          ///< thread-safe, or `workers == 1`
  int backlog = 4096;
  /// The body of an error that the server itself answers (bad request, time-out, overload) and of
  /// `Exchange::respond_error`. `path` is empty where the request could not be read. Thread-safe. Default: the OpenAI form.
  std::function<std::string(const Error& error, std::string_view path)> format_error;
};

/// The OpenAI form: {"error":{"message":...,"type":...,"param":null,"code":...}}.
std::string openai_error_body(const Error& error);

/// One request and its answer, on the reactor that received it. The whole body has been read. Views of the request are
/// valid until the handler returns or calls `release_request`.
class Exchange {
 public:
  const RequestHead& head() const;
  std::string_view body() const;
  /// The client's address without port: "127.0.0.1", "::1".
  std::string_view peer() const;
  Reactor& reactor();
  /// When the request was complete.
  MonoTime started() const;

  /// Answers in one piece: one gather write, tried at once; waits only for what the socket did not take. Adds date,
  /// content-length and, where needed, connection; `fields` holds the others (content-type included; those three and
  /// transfer-encoding are dropped from it). A HEAD request and statuses 204 and 304 get no body. kCancelled when the client
  /// is gone, kIo when it stopped reading.
  /// At most one of respond, respond_error and start_stream per exchange (an assertion).
  Task<void> respond(int status, std::span<const Field> fields, std::span<const std::string_view> body);
  Task<void> respond(int status, std::span<const Field> fields, std::string_view body);
  /// Answers with the error's own status and `format_error`'s body as application/json, with retry-after-ms where set.
  Task<void> respond_error(const Error& error, std::span<const Field> fields = {});

  /// Starts an answer of unknown length: chunked, or delimited by close for an HTTP/1.0 client. The head is sent with
  /// the first write, so this costs nothing and cannot wait.
  void start_stream(int status, std::span<const Field> fields);
  /// Sends the pieces as one chunk with one gather write; returns when the socket has taken all of it (back-pressure).
  /// Without bytes it sends the head if that is still due. Errors as for respond. One write at a time.
  Task<void> write(std::span<const std::string_view> pieces);
  Task<void> write(std::string_view piece);
  /// Ends the stream; `last` goes out in the same write.
  Task<void> finish(std::span<const std::string_view> last = {});
  Task<void> finish(std::string_view last);
  /// Kills the connection without a proper end, so that the client sees that the answer is cut short. The handler
  /// should return soon.
  void abort();

  /// Whenever nothing has been sent for `interval_ms`, calls `beat` and sends what it returns as one chunk, unless the
  /// socket is full. `beat` may call start_stream first; what it returns must be whole events and stay valid until it
  /// is called again; empty sends nothing. Ends with the answer, or with interval 0. Costs nothing on the request path.
  void heartbeat(std::int64_t interval_ms, std::function<std::string_view()> beat);

  /// True once respond or start_stream was called: the status is settled.
  bool answered() const;
  /// Cancelled when the client closes or resets its connection while the handler runs. Costs no system call. (A client
  /// that closes only its sending side counts as gone, as with nginx; answers are still tried.)
  CancelToken gone();
  bool client_gone() const;

  /// Frees the request's head and body before the handler ends (a long stream that no longer needs them).
  void release_request();

 private:
  friend class internal::ServerConnection;
  explicit Exchange(internal::ServerConnection& connection) : connection_(connection) {}
  internal::ServerConnection& connection_;
};

/// What one reactor serves. Made, used and destroyed on the reactor's thread, so its state needs no locks.
class Service {
 public:
  virtual ~Service() = default;
  /// Called once per request; several run interleaved. Returning without an answer sends 500; an exception is logged
  /// and counts as that.
  virtual Awaitable<void> handle(Exchange& exchange) = 0;
  /// Called after the last request has ended, before destruction: finish or cancel background work here.
  virtual Awaitable<void> shut_down() { co_return; }
};

/// Called on each reactor's thread before it accepts.
using ServiceFactory = std::function<Result<std::unique_ptr<Service>>(Reactor& reactor)>;
/// A service from a plain function (not a capturing lambda coroutine: what it captures must outlive the server).
std::unique_ptr<Service> make_service(std::function<Awaitable<void>(Exchange&)> handle);

struct ServerStats {
  std::uint64_t accepted = 0;
  std::uint64_t requests = 0;           ///< that reached a handler
  std::uint64_t refused_connections = 0;
  std::uint64_t refused_requests = 0;   ///< over limits.requests, or while draining
  std::uint64_t bad_requests = 0;       ///< answered 400, 408, 413, 431 or 501 by the server itself
  std::uint64_t failed_handshakes = 0;  ///< TLS: refused by either side, cut, too slow, or plain HTTP
  std::uint64_t clients_gone = 0;       ///< left while their request was in a handler
  std::size_t connections = 0;          ///< open now
  std::size_t in_flight = 0;            ///< in handlers now
};

class Server {
 public:
  /// Binds, starts the workers, runs the factory on each, and returns once all accept. kConfig for a `listen` that
  /// cannot be used (port taken, no such address: the message says which and what to do); else the factory's error.
  static Result<std::unique_ptr<Server>> create(ServerOptions options, ServiceFactory factory);
  /// Drains with deadline 0 if that was not done.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  std::uint16_t port() const;
  std::string address() const;   ///< "127.0.0.1:8080"
  unsigned workers() const;
  ServerStats stats() const;     ///< thread-safe, sums over the workers
  Reactor& reactor(unsigned index);

  /// Connections accepted from now on speak TLS by this context, or plain HTTP where it is null; those that are open stay as
  /// they are. Returns once it is so on every worker. Call from outside the reactors, not beside or after `drain`.
  void set_tls(std::shared_ptr<const TlsServerContext> tls);

  /// Stops accepting, closes idle connections, lets requests in flight end with `connection: close`; after
  /// `deadline_ms` cancels those that are left (their `gone()`), and after one more second kills their connections.
  /// Then shuts the services down and joins all threads. Blocks; call from outside the reactors. Idempotent.
  void drain(std::int64_t deadline_ms);

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace understudy::net
