#pragma once
/// The few socket calls that the benchmark programs share. Errors end the program with a sentence: a benchmark that
/// cannot open its sockets has nothing to report.

#include <cstdint>
#include <string>
#include <string_view>

namespace understudy::bench {

[[noreturn]] void die(std::string_view message);

/// Listens on 127.0.0.1:`port` (0: the kernel picks), non-blocking, backlog 4096. `port` becomes the real one.
int listen_on(std::uint16_t& port);

/// Accepts one connection, non-blocking and without Nagle's delay; -1 when none waits.
int accept_one(int listener);

/// Connects to 127.0.0.1:`port` (waits for the handshake), then makes the socket non-blocking, without Nagle's delay.
int connect_to(std::uint16_t port);

int make_epoll();
/// `op` is EPOLL_CTL_ADD / MOD; `id` comes back in the event's data.u64.
void watch(int epoll, int op, int fd, std::uint32_t events, std::uint64_t id);

/// Sends what the socket takes now. Returns bytes sent, -1 when the peer is gone.
std::int64_t send_some(int fd, std::string_view bytes);

/// Raises the soft limit of open files to the hard one.
void raise_file_limit();

std::int64_t now_ns();

/// True once SIGTERM or SIGINT came (after catch_stop_signals()).
void catch_stop_signals();
bool stop_requested();

}  // namespace understudy::bench
