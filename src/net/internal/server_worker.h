#pragma once
/// One worker of a Server: its reactor, accept socket, service and connections. Internal to this module.

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "net/internal/descriptor.h"
#include "net/internal/reactor_core.h"
#include "net/server.h"
#include "net/timer.h"

namespace understudy::net::internal {

/// Written by one worker, read by anyone: plain stores, no locked instructions on the request path.
class Counter {
 public:
  void add(std::int64_t n) { value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
  std::int64_t get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::int64_t> value_{0};
};

struct alignas(64) WorkerCounters {
  Counter accepted, requests, refused_connections, refused_requests, bad_requests, failed_handshakes, clients_gone, connections, in_flight;
};

class ServerWorker final : private Ticker {
 public:
  /// Takes the listening socket over. `all` are the counters of every worker, this one's among them.
  ServerWorker(const ServerOptions& options, Reactor& reactor, int listen_fd, std::span<WorkerCounters> all);
  ~ServerWorker() override;

  /// The body of the worker's thread: makes the service, reports how that went, serves until drained.
  void run(const ServiceFactory& factory, const std::function<void(Result<void>)>& report);
  /// From the worker's own thread: starts accepting / starts the way down.
  void start_accepting();
  void start_drain(std::int64_t deadline_ms);
  void set_tls(std::shared_ptr<const TlsServerContext> tls) { tls_ = std::move(tls); }

  const ServerOptions& options() const { return options_; }
  Reactor& reactor() { return reactor_; }
  ReactorCore& core() { return reactor_.core(); }
  Service& service() { return *service_; }
  WorkerCounters& counters() { return counters_; }
  bool draining() const { return draining_; }
  bool too_many_requests() const;
  /// Sends the error in plain HTTP, as far as the socket takes it at once, and ends our side; `fd` is to be closed next.
  void say_and_end(int fd, const Error& error);

  void add(ServerConnection& connection);
  void remove(ServerConnection& connection);

 private:
  void on_tick(MonoTime now) override;
  void accept_all();
  void accept_one(int fd, const void* address);
  Awaitable<void> drain(std::int64_t deadline_ms);

  const ServerOptions& options_;
  Reactor& reactor_;
  std::span<WorkerCounters> all_;
  WorkerCounters& counters_;
  std::unique_ptr<Service> service_;
  std::shared_ptr<const TlsServerContext> tls_;
  int listen_fd_;
  Descriptor listener_;
  bool accept_later_ = false;
  MonoTime next_accept_warning_{};
  bool draining_ = false;
  ServerConnection* connections_ = nullptr;
  Event empty_;
  TaskGroup tasks_;
};

}  // namespace understudy::net::internal
