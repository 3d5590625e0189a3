#include "net/internal/server_worker.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <exception>

#include "base/assert.h"
#include "base/log.h"
#include "net/internal/server_connection.h"
#include "net/internal/tls_stream.h"

namespace understudy::net::internal {

ServerWorker::ServerWorker(const ServerOptions& options, Reactor& reactor, int listen_fd, std::span<WorkerCounters> all)
    : Ticker(reactor.core()),
      options_(options),
      reactor_(reactor),
      all_(all),
      counters_(all[reactor.index()]),
      tls_(options.tls),
      listen_fd_(listen_fd),
      listener_(reactor.core()),
      empty_(reactor),
      tasks_(reactor) {
  empty_.set();
}

ServerWorker::~ServerWorker() {
  if (listen_fd_ >= 0) ::close(listen_fd_);
}

void ServerWorker::run(const ServiceFactory& factory, const std::function<void(Result<void>)>& report) {
  auto service = factory(reactor_);
  if (!service) {
    report(fail(std::move(service.error())));
    return;
  }
  service_ = std::move(*service);
  report({});
  reactor_.run();
  block_on(reactor_, tasks_.wait());
}

void ServerWorker::start_accepting() {
  listener_.watch([](void* self) { static_cast<ServerWorker*>(self)->accept_all(); }, this);
  auto opened = listener_.open(std::exchange(listen_fd_, -1), false);
  if (!opened) log::error("worker {} cannot accept: {}", reactor_.index(), opened.error().message);
}

void ServerWorker::accept_all() {
  for (;;) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    const int fd = ::accept4(listener_.fd(), reinterpret_cast<sockaddr*>(&address), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      accept_one(fd, &address);
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) {
      // Out of descriptors or memory: connections wait in the kernel's queue until the next tick.
      accept_later_ = true;
      if (core().now() >= next_accept_warning_) {
        next_accept_warning_ = core().now().plus_ms(60'000);
        log::warn("cannot accept connections: {}; raise the limit of open files (ulimit -n)", std::strerror(errno));
      }
    }
    return;
  }
}

void ServerWorker::accept_one(int fd, const void* address) {
  counters_.accepted.add(1);
  std::int64_t open = 0;
  for (const WorkerCounters& counters : all_) open += counters.connections.get();
  if (open >= static_cast<std::int64_t>(options_.limits.connections)) {
    counters_.refused_connections.add(1);
    Error error(ErrorKind::kOverloaded, "too many connections; try again later");
    error.retry_after_ms = 1'000;
    if (tls_ == nullptr) say_and_end(fd, error);  // a handshake for the sake of an error would be work for those over the limit
    ::close(fd);
    return;
  }
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  std::unique_ptr<Stream> stream;
  if (tls_ != nullptr) {
    stream = std::make_unique<TlsStream>(core(), *tls_);
  } else {
    stream = std::make_unique<TcpStream>(core());
  }
  if (!stream->descriptor().open(fd, true)) return;
  auto connection = std::make_unique<ServerConnection>(*this, std::move(stream), *static_cast<const sockaddr_storage*>(address));
  core().spawn(ServerConnection::serve(std::move(connection)), [](std::exception_ptr thrown) {
    if (thrown) log::error("a connection ended with an exception; this is a bug");
  });
}

void ServerWorker::say_and_end(int fd, const Error& error) {
  const std::string body = options_.format_error ? options_.format_error(error, {}) : openai_error_body(error);
  std::string reply;
  append_status_line(reply, error.http_status());
  append_field(reply, "content-type", "application/json");
  if (error.retry_after_ms) append_field(reply, "retry-after", std::to_string((*error.retry_after_ms + 999) / 1000));
  append_field(reply, "connection", "close");
  append_field(reply, "content-length", std::to_string(body.size()));
  reply.append("\r\n").append(body);
  [[maybe_unused]] const auto sent = ::send(fd, reply.data(), reply.size(), MSG_NOSIGNAL);
  ::shutdown(fd, SHUT_WR);
  // What lies unread at the close makes it a reset, which may overtake the answer.
  [[maybe_unused]] const auto dropped = ::recv(fd, core().scratch().data(), core().scratch().size(), 0);
}

void ServerWorker::on_tick(MonoTime) {
  if (std::exchange(accept_later_, false) && listener_.is_open()) accept_all();
}

bool ServerWorker::too_many_requests() const {
  std::int64_t running = 0;
  for (const WorkerCounters& counters : all_) running += counters.in_flight.get();
  return running >= static_cast<std::int64_t>(options_.limits.requests);
}

void ServerWorker::add(ServerConnection& connection) {
  connection.next = connections_;
  if (connections_ != nullptr) connections_->previous = &connection;
  connections_ = &connection;
  counters_.connections.add(1);
  empty_.reset();
}

void ServerWorker::remove(ServerConnection& connection) {
  (connection.previous != nullptr ? connection.previous->next : connections_) = connection.next;
  if (connection.next != nullptr) connection.next->previous = connection.previous;
  counters_.connections.add(-1);
  if (connections_ == nullptr) empty_.set();
}

void ServerWorker::start_drain(std::int64_t deadline_ms) {
  if (draining_) return;
  draining_ = true;
  tasks_.spawn(drain(deadline_ms));
}

Awaitable<void> ServerWorker::drain(std::int64_t deadline_ms) {
  if (listener_.is_open()) {
    accept_all();  // what the kernel has completed for us would be reset otherwise
    listener_.close();
  }
  const auto for_each = [this](void (*act)(ServerConnection&)) {
    for (ServerConnection* c = connections_; c != nullptr;) {
      ServerConnection* const after = c->next;
      act(*c);
      c = after;
    }
  };
  for_each([](ServerConnection& c) { c.close_if_idle(); });
  const Clock& clock = reactor_.clock();
  if (!co_await empty_.wait(Deadline::after_ms(clock.mono(), deadline_ms))) {
    for_each([](ServerConnection& c) { c.cancel(); });
    if (!co_await empty_.wait(Deadline::after_ms(clock.mono(), 1'000))) {
      for_each([](ServerConnection& c) { c.kill(); });
      while (!co_await empty_.wait(Deadline::after_ms(clock.mono(), 5'000))) {
        log::warn("worker {}: {} cancelled requests have not ended yet", reactor_.index(), counters_.in_flight.get());
      }
    }
  }
  co_await service_->shut_down();
  service_.reset();
  reactor_.stop();
}

}  // namespace understudy::net::internal
