/// The least that an HTTP/1.1 keep-alive proxy can cost here: one thread, level-triggered epoll, a pool of upstream
/// connections, bytes forwarded as they came, nothing looked at beyond framing. A floor for comparisons, not a product:
/// no limits, no deadlines, no headers changed, no back-pressure (what a slow reader leaves is buffered whole).

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <memory>
#include <vector>

#include "http_framer.h"
#include "sockets.h"

namespace understudy::bench {
namespace {

/// One socket, a client's or an upstream's; `peer` is the other end of the exchange in progress.
struct Side {
  Side(int socket, bool client) : fd(socket), is_client(client), message(client ? HttpFramer::Kind::kRequest : HttpFramer::Kind::kResponse) {}
  int fd;
  bool is_client;
  Side* peer = nullptr;
  HttpFramer message;  ///< what is read from this socket
  std::string unsent;
};

class FloorProxy {
 public:
  FloorProxy(std::uint16_t port, std::uint16_t upstream) : port_(port), upstream_(upstream), epoll_(make_epoll()) {
    listener_ = listen_on(port_);
    watch(epoll_, EPOLL_CTL_ADD, listener_, EPOLLIN, static_cast<std::uint64_t>(listener_));
  }

  void run() {
    fmt::print("{{\"listening\":{}}}\n", port_);
    std::fflush(stdout);
    std::array<epoll_event, 256> events;
    while (!stop_requested()) {
      const int n = epoll_wait(epoll_, events.data(), events.size(), -1);
      for (int i = 0; i < n; ++i) on_event(static_cast<int>(events[static_cast<std::size_t>(i)].data.u64), events[static_cast<std::size_t>(i)].events);
    }
  }

 private:
  void on_event(int fd, std::uint32_t events) {
    if (fd == listener_) {
      for (int accepted = accept_one(listener_); accepted >= 0; accepted = accept_one(listener_)) add(accepted, true);
      return;
    }
    Side* side = sides_[static_cast<std::size_t>(fd)].get();
    if (side == nullptr) return;
    if ((events & EPOLLOUT) != 0) {
      const std::int64_t n = send_some(fd, side->unsent);
      if (n < 0) return drop(side);
      side->unsent.erase(0, static_cast<std::size_t>(n));
      if (side->unsent.empty()) watch(epoll_, EPOLL_CTL_MOD, fd, EPOLLIN, static_cast<std::uint64_t>(fd));
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read(side);
  }

  Side* add(int fd, bool client) {
    if (sides_.size() <= static_cast<std::size_t>(fd)) sides_.resize(static_cast<std::size_t>(fd) + 1);
    sides_[static_cast<std::size_t>(fd)] = std::make_unique<Side>(fd, client);
    watch(epoll_, EPOLL_CTL_ADD, fd, EPOLLIN, static_cast<std::uint64_t>(fd));
    return sides_[static_cast<std::size_t>(fd)].get();
  }

  /// Ends a socket and the exchange it is in.
  void drop(Side* side) {
    Side* peer = side->peer;
    if (peer == nullptr && !side->is_client) std::erase(pool_, side);
    close(side->fd);
    sides_[static_cast<std::size_t>(side->fd)].reset();
    if (peer != nullptr) {
      close(peer->fd);
      sides_[static_cast<std::size_t>(peer->fd)].reset();
    }
  }

  void read(Side* side) {
    const ssize_t n = recv(side->fd, buffer_.data(), buffer_.size(), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) return drop(side);
    const std::string_view in(buffer_.data(), static_cast<std::size_t>(n));
    if (side->peer == nullptr) {
      if (!side->is_client) return drop(side);  // an idle upstream has nothing to say
      side->peer = take_upstream();
      side->peer->peer = side;
    }
    const std::size_t used = side->message.feed(in, [](std::string_view) {});
    if (side->message.bad() || used < in.size()) return drop(side);
    Side* peer = side->peer;
    if (!forward(peer, in)) return drop(side);
    if (!side->is_client && side->message.done()) {
      const bool keep = side->message.keep_alive() && peer->message.done() && peer->message.keep_alive();
      if (!keep && peer->unsent.empty()) return drop(side);
      side->message.reset();
      peer->message.reset();
      side->peer = nullptr;
      peer->peer = nullptr;
      pool_.push_back(side);
    }
  }

  Side* take_upstream() {
    if (pool_.empty()) return add(connect_to(upstream_), false);
    Side* side = pool_.back();
    pool_.pop_back();
    return side;
  }

  bool forward(Side* to, std::string_view bytes) {
    if (to->unsent.empty()) {
      const std::int64_t n = send_some(to->fd, bytes);
      if (n < 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
      if (bytes.empty()) return true;
      watch(epoll_, EPOLL_CTL_MOD, to->fd, EPOLLIN | EPOLLOUT, static_cast<std::uint64_t>(to->fd));
    }
    to->unsent += bytes;
    return true;
  }

  std::uint16_t port_;
  std::uint16_t upstream_;
  int epoll_;
  int listener_ = -1;
  std::vector<std::unique_ptr<Side>> sides_;
  std::vector<Side*> pool_;
  std::array<char, 64 * 1024> buffer_;
};

}  // namespace
}  // namespace understudy::bench

int main(int argc, char** argv) {
  using namespace understudy::bench;
  std::uint16_t port = 0;
  std::uint16_t upstream = 0;
  CLI::App app{"The cheapest possible HTTP/1.1 proxy, as a floor"};
  app.add_option("--port", port, "on 127.0.0.1; 0: the kernel picks");
  app.add_option("--upstream", upstream, "port on 127.0.0.1")->required();
  CLI11_PARSE(app, argc, argv);
  raise_file_limit();
  catch_stop_signals();
  FloorProxy(port, upstream).run();
}
