#pragma once
/// Hand-made peers for tests: blocking sockets on loopback that send and read exact bytes, and a clock that tests push.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "net/http.h"

namespace understudy::net::internal {

/// The machine's clock plus what a test has added. Thread-safe.
class PushedClock final : public Clock {
 public:
  MonoTime mono() const override { return {system_clock().mono().ns + pushed_ns_.load()}; }
  WallTime wall() const override { return system_clock().wall(); }
  void push_ms(std::int64_t ms) { pushed_ns_ += ms * 1'000'000; }

 private:
  std::atomic<std::int64_t> pushed_ns_{0};
};

struct PeerMessage {
  std::string head;
  std::string body;
  int status = 0;        // 0: no complete message came
  bool truncated = false;

  std::string find(std::string_view name) const {
    ResponseHead parsed;
    if (!parse_response_head(head, false, parsed)) return "(unreadable head)";
    return std::string(parsed.find(name).value_or("(absent)"));
  }
};

/// One end of a connection. Waits at most 20 s for anything.
class Peer {
 public:
  explicit Peer(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    prepare();
  }
  struct Adopt {
    int fd;
  };
  explicit Peer(Adopt adopt) : fd_(adopt.fd), connected_(true) { prepare(); }
  virtual ~Peer() { close(); }
  Peer(Peer&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), connected_(other.connected_), received_(std::move(other.received_)) {}
  Peer& operator=(Peer&&) = delete;

  bool connected() const { return connected_; }
  int fd() const { return fd_; }
  bool was_reset() const { return reset_; }

  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = transmit(bytes.data(), bytes.size());
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  void send_bytewise(std::string_view bytes) {
    for (const char c : bytes) {
      send({&c, 1});
      std::this_thread::yield();
    }
  }

  /// What came up to and with `end`; empty when the connection ended first.
  std::string read_until(std::string_view end) {
    for (;;) {
      const std::size_t at = received_.find(end);
      if (at != std::string::npos) return take(at + end.size());
      if (!fill()) return {};
    }
  }
  std::string read_bytes(std::size_t count) {
    while (received_.size() < count) {
      if (!fill()) return {};
    }
    return take(count);
  }
  std::string read_to_end() {
    while (fill()) {
    }
    return take(received_.size());
  }
  /// True once the other side has closed, properly or not; false when it sends something instead.
  bool closed() { return received_.empty() && !fill(); }

  PeerMessage read_response(bool to_head = false) {
    PeerMessage out;
    out.head = read_until("\r\n\r\n");
    ResponseHead head;
    if (out.head.empty() || !parse_response_head(out.head, to_head, head)) return out;
    out.status = head.status;
    if (head.framing == BodyFraming::kLength) {
      out.body = read_bytes(static_cast<std::size_t>(head.content_length));
      out.truncated = out.body.size() != head.content_length;
    } else if (head.framing == BodyFraming::kChunked) {
      ChunkedDecoder decoder;
      while (!decoder.done()) {
        std::string_view input = received_;
        bool broken = false;
        for (;;) {
          auto slice = decoder.next(input);
          broken = !slice.has_value();
          if (broken || !*slice) break;
          out.body.append(**slice);
        }
        received_ = std::string(input);
        if (broken || (!decoder.done() && !fill())) {
          out.truncated = true;
          break;
        }
      }
    } else if (head.framing == BodyFraming::kUntilClose) {
      out.body = read_to_end();
      out.truncated = reset_;
    }
    return out;
  }

  void half_close() { ::shutdown(fd_, SHUT_WR); }
  void reset() {
    const struct ::linger now{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  void prepare() {
    const timeval limit{.tv_sec = 20, .tv_usec = 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    const int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  bool fill() {
    char buffer[16 * 1024];
    const ssize_t got = receive(buffer, sizeof buffer);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) ADD_FAILURE() << "nothing came for 20 s";
    if (got < 0 && errno == ECONNRESET) reset_ = true;
    if (got <= 0) return false;
    received_.append(buffer, static_cast<std::size_t>(got));
    return true;
  }
  virtual ssize_t receive(char* into, std::size_t size) { return ::recv(fd_, into, size, 0); }
  virtual ssize_t transmit(const char* from, std::size_t size) { return ::send(fd_, from, size, MSG_NOSIGNAL); }
  std::string take(std::size_t count) {
    std::string out = received_.substr(0, count);
    received_.erase(0, count);
    return out;
  }

  int fd_;
  bool connected_ = false;
  bool reset_ = false;
  std::string received_;
};

/// Something that claims to be an upstream: the n-th connection is played by the n-th script, on one thread.
class Imposter {
 public:
  using Script = std::function<void(Peer&)>;

  explicit Imposter(std::vector<Script> scripts) : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listener_, reinterpret_cast<const sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_, 16), 0);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, scripts = std::move(scripts)] {
      for (const Script& script : scripts) {
        const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        if (fd < 0) return;
        ++connections_;
        Peer peer(Peer::Adopt{fd});
        script(peer);
      }
    });
  }
  ~Imposter() {
    ::shutdown(listener_, SHUT_RDWR);  // wakes an accept that nobody will answer
    thread_.join();
    ::close(listener_);
  }
  Imposter(const Imposter&) = delete;
  Imposter& operator=(const Imposter&) = delete;

  std::uint16_t port() const { return port_; }
  std::string url(std::string_view path = "") const { return "http://127.0.0.1:" + std::to_string(port_) + std::string(path); }
  int connections() const { return connections_; }

 private:
  int listener_;
  std::uint16_t port_ = 0;
  std::atomic<int> connections_{0};
  std::thread thread_;
};

}  // namespace understudy::net::internal
