/// Mock OpenAI upstream. Answers chat completions at once (or after --delay-ms), streamed ones chunk by chunk at a fixed
/// interval per stream; with token logprobs where the request asks for them. One thread, level-triggered epoll.
/// Prints one line of JSON with its port when it listens; GET /stats tells what it served.

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
#include "timer_wheel.h"
#include "workload.h"

namespace understudy::bench {
namespace {

struct Options {
  std::uint16_t port = 0;
  AnswerShape answer;
  double unsure_share = 0;
  int delay_ms = 0;
  int stream_tokens = 100;
  int stream_interval_ms = 50;
};

struct Stats {
  std::uint64_t requests = 0;
  std::uint64_t with_logprobs = 0;
  std::uint64_t streams = 0;
  std::uint64_t streams_cancelled = 0;
  std::uint64_t bad_requests = 0;
  std::uint64_t connections = 0;
};

struct Connection {
  int fd = -1;
  std::uint64_t serial = 0;  ///< tells a timer that its connection is gone and the descriptor used again
  HttpFramer request{HttpFramer::Kind::kRequest};
  std::string body;
  std::string out;
  std::size_t sent = 0;
  bool busy = false;  ///< a request was read whole and its answer is not yet written
  bool waits_for_writing = false;
  std::uint64_t tag = 0;
  const StreamText* stream = nullptr;
  std::size_t next_token = 0;
  bool include_usage = false;
  std::int64_t next_due_ms = 0;
};

class Upstream {
 public:
  explicit Upstream(Options options)
      : options_(std::move(options)),
        plain_(plain_answer(options_.answer)),
        sure_(logprob_answer(options_.answer, true)),
        unsure_(logprob_answer(options_.answer, false)),
        epoll_(make_epoll()),
        wheel_(now_ns() / 1'000'000) {
    for (const bool logprobs : {false, true}) {
      for (const bool sure : {false, true}) {
        streams_[static_cast<std::size_t>(logprobs * 2 + sure)] = stream_text(options_.answer, options_.stream_tokens, logprobs, sure);
      }
    }
    listener_ = listen_on(options_.port);
    watch(epoll_, EPOLL_CTL_ADD, listener_, EPOLLIN, static_cast<std::uint64_t>(listener_));
  }

  void run() {
    fmt::print("{{\"listening\":{},\"plain_bytes\":{},\"logprob_bytes\":{}}}\n", options_.port, plain_.size(), sure_.size());
    std::fflush(stdout);
    std::array<epoll_event, 256> events;
    while (!stop_requested()) {
      const int n = epoll_wait(epoll_, events.data(), events.size(), wheel_.empty() ? -1 : 1);
      wheel_.advance(now_ns() / 1'000'000, [this](Timer timer) { on_timer(timer); });
      for (int i = 0; i < n; ++i) on_event(static_cast<int>(events[static_cast<std::size_t>(i)].data.u64), events[static_cast<std::size_t>(i)].events);
    }
  }

 private:
  struct Timer {
    int fd;
    std::uint64_t serial;
  };

  void on_event(int fd, std::uint32_t events) {
    if (fd == listener_) {
      for (int accepted = accept_one(listener_); accepted >= 0; accepted = accept_one(listener_)) add(accepted);
      return;
    }
    if (static_cast<std::size_t>(fd) >= connections_.size() || !connections_[static_cast<std::size_t>(fd)]) return;
    Connection& c = *connections_[static_cast<std::size_t>(fd)];
    if ((events & EPOLLOUT) != 0 && !flush(c)) return;
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) read(c);
  }

  void add(int fd) {
    if (connections_.size() <= static_cast<std::size_t>(fd)) connections_.resize(static_cast<std::size_t>(fd) + 1);
    auto c = std::make_unique<Connection>();
    c->fd = fd;
    c->serial = ++stats_.connections;
    connections_[static_cast<std::size_t>(fd)] = std::move(c);
    watch(epoll_, EPOLL_CTL_ADD, fd, EPOLLIN, static_cast<std::uint64_t>(fd));
  }

  void close(Connection& c) {
    if (c.stream != nullptr) ++stats_.streams_cancelled;
    ::close(c.fd);
    connections_[static_cast<std::size_t>(c.fd)].reset();
  }

  void read(Connection& c) {
    const ssize_t n = recv(c.fd, buffer_.data(), buffer_.size(), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) return close(c);
    const std::string_view in(buffer_.data(), static_cast<std::size_t>(n));
    if (c.busy) return refuse(c, 400, "a second request before the first one's answer: no pipelining here");
    const std::size_t used = c.request.feed(in, [&c](std::string_view piece) { c.body += piece; });
    if (c.request.bad()) return refuse(c, 400, "malformed HTTP/1.1 request");
    if (!c.request.done()) return;
    if (used < in.size()) return refuse(c, 400, "bytes after the request: no pipelining here");
    c.busy = true;
    answer(c);
  }

  void answer(Connection& c) {
    const std::string_view line = c.request.start_line();
    if (line.starts_with("GET /v1/models ")) {
      return reply(c, 200, fmt::format(R"({{"object":"list","data":[{{"id":"bench-{}","object":"model","created":1767225600,"owned_by":"bench"}}]}})",
                                       options_.answer.name));
    }
    if (line.starts_with("GET /stats ")) {
      return reply(c, 200, fmt::format(R"({{"requests":{},"with_logprobs":{},"streams":{},"streams_cancelled":{},"bad_requests":{},"connections":{}}})",
                                       stats_.requests, stats_.with_logprobs, stats_.streams, stats_.streams_cancelled,
                                       stats_.bad_requests, stats_.connections));
    }
    if (!line.starts_with("POST /v1/chat/completions ")) return refuse(c, 404, "only /v1/chat/completions, /v1/models and /stats");
    if (c.body.empty() || c.body.front() != '{' || c.body.back() != '}') return refuse(c, 400, "the body is not a JSON object");
    const bool logprobs = has_true(c.body, "\"logprobs\"");
    ++stats_.requests;
    if (logprobs) ++stats_.with_logprobs;
    c.tag = find_tag(c.body);
    const bool sure = !is_unsure(c.tag, options_.unsure_share);
    if (has_true(c.body, "\"stream\"")) {
      ++stats_.streams;
      c.stream = &streams_[static_cast<std::size_t>(logprobs * 2 + sure)];
      c.next_token = 0;
      c.include_usage = has_true(c.body, "\"include_usage\"");
      c.stream->head.append_to(c.out, c.tag);
      c.next_due_ms = now_ns() / 1'000'000 + options_.delay_ms + options_.stream_interval_ms;
      wheel_.arm(c.next_due_ms, {c.fd, c.serial});
      flush(c);
      return;
    }
    (logprobs ? (sure ? sure_ : unsure_) : plain_).append_to(c.out, c.tag);
    if (options_.delay_ms > 0) return wheel_.arm(now_ns() / 1'000'000 + options_.delay_ms, {c.fd, c.serial});
    flush(c);
  }

  void on_timer(Timer timer) {
    Connection* c = connections_[static_cast<std::size_t>(timer.fd)].get();
    if (c == nullptr || c->serial != timer.serial) return;
    if (c->stream != nullptr) {
      const StreamText& stream = *c->stream;
      if (c->next_token < stream.tokens.size()) {
        stream.tokens[c->next_token++].append_to(c->out, c->tag);
        c->next_due_ms += options_.stream_interval_ms;
        wheel_.arm(c->next_due_ms, timer);
      } else {
        stream.finish.append_to(c->out, c->tag);
        if (c->include_usage) stream.usage.append_to(c->out, c->tag);
        stream.done.append_to(c->out, c->tag);
        c->stream = nullptr;
      }
    }
    flush(*c);
  }

  void reply(Connection& c, int status, const std::string& json) {
    c.out += fmt::format("HTTP/1.1 {} {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}", status,
                         status == 200 ? "OK" : "Bad Request", json.size(), json);
    flush(c);
  }

  void refuse(Connection& c, int status, std::string_view why) {
    ++stats_.bad_requests;
    fmt::print(stderr, "bench_upstream: refused ({}): {}; first line: {}\n", status, why, c.request.start_line());
    c.out += fmt::format("HTTP/1.1 {} Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status);
    send_some(c.fd, std::string_view(c.out).substr(c.sent));
    close(c);
  }

  /// False when the connection is gone.
  bool flush(Connection& c) {
    if (c.sent < c.out.size()) {
      const std::int64_t n = send_some(c.fd, std::string_view(c.out).substr(c.sent));
      if (n < 0) {
        close(c);
        return false;
      }
      c.sent += static_cast<std::size_t>(n);
    }
    const bool rest = c.sent < c.out.size();
    if (rest != c.waits_for_writing) {
      watch(epoll_, EPOLL_CTL_MOD, c.fd, EPOLLIN | (rest ? EPOLLOUT : 0U), static_cast<std::uint64_t>(c.fd));
      c.waits_for_writing = rest;
    }
    if (rest) return true;
    c.out.clear();
    c.sent = 0;
    if (c.busy && c.stream == nullptr) {
      const bool keep = c.request.keep_alive();
      c.busy = false;
      c.body.clear();
      c.request.reset();
      if (!keep) {
        close(c);
        return false;
      }
    }
    return true;
  }

  Options options_;
  TaggedText plain_;
  TaggedText sure_;
  TaggedText unsure_;
  std::array<StreamText, 4> streams_;
  int epoll_;
  int listener_ = -1;
  TimerWheel<Timer> wheel_;
  Stats stats_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::array<char, 64 * 1024> buffer_;
};

}  // namespace
}  // namespace understudy::bench

int main(int argc, char** argv) {
  using namespace understudy::bench;
  Options options;
  CLI::App app{"Mock OpenAI upstream for benchmarks"};
  app.add_option("--port", options.port, "on 127.0.0.1; 0: the kernel picks");
  app.add_option("--name", options.answer.name, "who answers: part of every answer's text");
  app.add_option("--plain-bytes", options.answer.plain_bytes, "JSON of an answer without logprobs");
  app.add_option("--answer-tokens", options.answer.tokens, "tokens of an answer with logprobs")->check(CLI::Range(6, 100000));
  app.add_option("--top", options.answer.top, "top_logprobs per token")->check(CLI::Range(0, 20));
  app.add_option("--unsure", options.unsure_share, "share of hard requests with one token at probability 0.3")->check(CLI::Range(0.0, 1.0));
  app.add_option("--delay-ms", options.delay_ms, "before the first byte (streams: before the first token)");
  app.add_option("--stream-tokens", options.stream_tokens)->check(CLI::Range(6, 1000000));
  app.add_option("--stream-interval-ms", options.stream_interval_ms)->check(CLI::Range(1, 60000));
  CLI11_PARSE(app, argc, argv);
  raise_file_limit();
  catch_stop_signals();
  std::make_unique<Upstream>(std::move(options))->run();
}
