#include "net/server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <future>
#include <thread>
#include <vector>

#include "base/assert.h"
#include "net/internal/server_worker.h"

namespace understudy::net {
namespace {

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;

  void set_port(std::uint16_t port) {
    if (storage.ss_family == AF_INET) reinterpret_cast<sockaddr_in&>(storage).sin_port = htons(port);
    if (storage.ss_family == AF_INET6) reinterpret_cast<sockaddr_in6&>(storage).sin6_port = htons(port);
  }
  std::uint16_t port() const {
    return ntohs(storage.ss_family == AF_INET ? reinterpret_cast<const sockaddr_in&>(storage).sin_port
                                              : reinterpret_cast<const sockaddr_in6&>(storage).sin6_port);
  }
  std::string text() const {
    std::array<char, INET6_ADDRSTRLEN> host{};
    if (storage.ss_family == AF_INET) {
      ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(storage).sin_addr, host.data(), host.size());
      return fmt::format("{}:{}", host.data(), port());
    }
    ::inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6&>(storage).sin6_addr, host.data(), host.size());
    return fmt::format("[{}]:{}", host.data(), port());
  }
};

Result<Address> parse_listen(const std::string& listen) {
  const std::size_t colon = listen.rfind(':');
  if (colon == std::string::npos || colon == 0) {
    return fail(ErrorKind::kConfig, fmt::format("cannot listen on \"{}\": write ADDRESS:PORT, e.g. 127.0.0.1:8080", listen), "listen");
  }
  std::string host = listen.substr(0, colon);
  const std::string port = listen.substr(colon + 1);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  const bool plain_port = !port.empty() && port.size() <= 5 && port.find_first_not_of("0123456789") == std::string::npos &&
                          std::stoi(port) <= 65535;
  if (!plain_port) {
    return fail(ErrorKind::kConfig, fmt::format("cannot listen on \"{}\": the port must be a number from 0 to 65535", listen), "listen");
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
  if (error != 0) {
    return fail(ErrorKind::kConfig, fmt::format("cannot listen on \"{}\": {}", listen, ::gai_strerror(error)), "listen");
  }
  Address address;
  std::memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
  address.size = found->ai_addrlen;
  ::freeaddrinfo(found);
  return address;
}

Unexpected cannot_listen(const Address& address, int error) {
  std::string message = fmt::format("cannot listen on {}: {}", address.text(), std::strerror(error));
  if (error == EADDRINUSE) message += "; stop the program that uses this port, or choose another with --listen";
  if (error == EACCES) message += "; ports below 1024 need a privilege, choose a higher one with --listen";
  if (error == EADDRNOTAVAIL) message += "; this machine has no such address";
  return fail(ErrorKind::kConfig, std::move(message), "listen");
}

/// Binds; with a port of 0 writes the chosen one into `address`. `shared` sockets let the other workers join.
Result<int> bind_socket(Address& address, bool shared) {
  const int fd = ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return cannot_listen(address, errno);
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (shared) ::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  socklen_t size = address.size;
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address.storage), address.size) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&address.storage), &size) != 0) {
    const int error = errno;
    ::close(fd);
    return cannot_listen(address, error);
  }
  return fd;
}

/// One listening socket per worker, all on one port.
Result<std::vector<int>> listen_sockets(Address& address, unsigned count, int backlog) {
  if (address.port() != 0) {
    // With SO_REUSEPORT another process of ours could share the port without either noticing; without it, it cannot.
    auto probe = bind_socket(address, false);
    if (!probe) return fail(std::move(probe.error()));
    const bool taken = ::listen(*probe, 1) != 0;
    const int error = errno;
    ::close(*probe);
    if (taken) return cannot_listen(address, error);
  }
  std::vector<int> sockets;
  for (unsigned i = 0; i < count; ++i) {
    auto fd = bind_socket(address, true);
    const bool listening = fd && ::listen(*fd, backlog) == 0;
    if (!listening) {
      const int error = errno;
      if (fd) ::close(*fd);
      for (const int open : sockets) ::close(open);
      return fd ? cannot_listen(address, error) : fail(std::move(fd.error()));
    }
    sockets.push_back(*fd);
  }
  return sockets;
}

unsigned usable_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  const int count = CPU_COUNT(&set);
  return count > 0 ? static_cast<unsigned>(count) : 1;
}

class FunctionService final : public Service {
 public:
  explicit FunctionService(std::function<Awaitable<void>(Exchange&)> handle) : handle_(std::move(handle)) {}
  Awaitable<void> handle(Exchange& exchange) override { return handle_(exchange); }

 private:
  std::function<Awaitable<void>(Exchange&)> handle_;
};

}  // namespace

std::unique_ptr<Service> make_service(std::function<Awaitable<void>(Exchange&)> handle) {
  return std::make_unique<FunctionService>(std::move(handle));
}

struct Server::Impl {
  ServerOptions options;
  ServiceFactory factory;
  Address address;
  std::vector<internal::WorkerCounters> counters;
  std::vector<std::unique_ptr<Reactor>> reactors;
  std::vector<std::unique_ptr<internal::ServerWorker>> workers;
  std::vector<std::thread> threads;
  bool drained = false;

  Result<void> start();
  void drain(std::int64_t deadline_ms);
};

Result<void> Server::Impl::start() {
  auto parsed = parse_listen(options.listen);
  if (!parsed) return fail(std::move(parsed.error()));
  address = *parsed;
  const unsigned count = options.workers == 0 ? usable_processors() : options.workers;
  auto sockets = listen_sockets(address, count, options.backlog);
  if (!sockets) return fail(std::move(sockets.error()));

  counters = std::vector<internal::WorkerCounters>(count);
  for (unsigned i = 0; i < count; ++i) {
    ReactorOptions reactor_options;
    reactor_options.index = i;
    reactor_options.clock = options.clock;
    auto reactor = Reactor::create(reactor_options);
    if (!reactor) {
      for (unsigned j = i; j < count; ++j) ::close((*sockets)[j]);
      return fail(std::move(reactor.error()));
    }
    reactors.push_back(std::move(*reactor));
    workers.push_back(std::make_unique<internal::ServerWorker>(options, *reactors[i], (*sockets)[i], counters));
  }

  std::vector<std::promise<Result<void>>> made(count);
  for (unsigned i = 0; i < count; ++i) {
    threads.emplace_back([this, i, &made] {
      workers[i]->run(factory, [&](Result<void> result) { made[i].set_value(std::move(result)); });
    });
  }
  Result<void> all;
  std::vector<unsigned> running;
  for (unsigned i = 0; i < count; ++i) {
    Result<void> one = made[i].get_future().get();
    if (one) {
      running.push_back(i);
    } else if (all) {
      all = std::move(one);
    }
  }
  if (!all) {
    for (const unsigned i : running) {
      workers[i]->reactor().post([worker = workers[i].get()] { worker->start_drain(0); });
    }
    for (std::thread& thread : threads) thread.join();
    drained = true;
    return all;
  }
  for (auto& worker : workers) {
    worker->reactor().post([w = worker.get()] { w->start_accepting(); });
  }
  return {};
}

void Server::Impl::drain(std::int64_t deadline_ms) {
  if (std::exchange(drained, true)) return;
  for (auto& worker : workers) {
    worker->reactor().post([w = worker.get(), deadline_ms] { w->start_drain(deadline_ms); });
  }
  for (std::thread& thread : threads) thread.join();
}

Result<std::unique_ptr<Server>> Server::create(ServerOptions options, ServiceFactory factory) {
  auto impl = std::make_unique<Impl>();
  impl->options = std::move(options);
  impl->factory = std::move(factory);
  auto started = impl->start();
  if (!started) return fail(std::move(started.error()));
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() { impl_->drain(0); }

std::uint16_t Server::port() const { return impl_->address.port(); }
std::string Server::address() const { return impl_->address.text(); }
unsigned Server::workers() const { return static_cast<unsigned>(impl_->workers.size()); }
Reactor& Server::reactor(unsigned index) { return *impl_->reactors.at(index); }
void Server::drain(std::int64_t deadline_ms) { impl_->drain(deadline_ms); }

void Server::set_tls(std::shared_ptr<const TlsServerContext> tls) {
  std::vector<std::promise<void>> done(impl_->workers.size());
  for (std::size_t i = 0; i < done.size(); ++i) {
    internal::ServerWorker* const worker = impl_->workers[i].get();
    worker->reactor().post([worker, &tls, &set = done[i]] {
      worker->set_tls(tls);
      set.set_value();
    });
  }
  for (std::promise<void>& set : done) set.get_future().wait();
}

ServerStats Server::stats() const {
  ServerStats stats;
  for (const internal::WorkerCounters& c : impl_->counters) {
    stats.accepted += static_cast<std::uint64_t>(c.accepted.get());
    stats.requests += static_cast<std::uint64_t>(c.requests.get());
    stats.refused_connections += static_cast<std::uint64_t>(c.refused_connections.get());
    stats.refused_requests += static_cast<std::uint64_t>(c.refused_requests.get());
    stats.bad_requests += static_cast<std::uint64_t>(c.bad_requests.get());
    stats.failed_handshakes += static_cast<std::uint64_t>(c.failed_handshakes.get());
    stats.clients_gone += static_cast<std::uint64_t>(c.clients_gone.get());
    stats.connections += static_cast<std::size_t>(c.connections.get());
    stats.in_flight += static_cast<std::size_t>(c.in_flight.get());
  }
  return stats;
}

}  // namespace understudy::net
