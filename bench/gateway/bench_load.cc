/// HTTP/1.1 keep-alive load for an OpenAI-compatible endpoint, in three modes:
///   closed   C connections, each sends its next request when its last answer is complete
///   open     R requests a second at fixed times; latency counts from the time a request should have been sent, so that
///            a stall delays (and is charged for) every request behind it: no coordinated omission
///   stream   S server-sent-event streams at once, each read to [DONE]
/// Every answer is checked: status, framing, and the text against what the upstream must have written for that request
/// (workload.h). The first wrong answer ends the run with exit code 1. One thread. Prints one JSON object.

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <deque>
#include <vector>

#include "http_framer.h"
#include "sockets.h"
#include "workload.h"

namespace understudy::bench {
namespace {

struct Options {
  std::string mode = "closed";
  std::uint16_t port = 0;
  RequestShape request;
  AnswerShape student;      ///< tokens, top and sizes as given to the upstreams
  AnswerShape teacher;
  int stream_tokens = 100;
  double unsure_share = 0;
  std::string expect = "student";  ///< student, teacher, cascade
  std::uint64_t connections = 64;
  std::uint64_t requests = 10000;
  double rate = 1000;
  std::uint64_t first_tag = 1;
  std::uint64_t distinct = 0;  ///< 0: every request differs
  int ramp_ms = 500;
  int timeout_s = 60;
};

struct Connection {
  int fd = -1;
  HttpFramer response{HttpFramer::Kind::kResponse};
  std::string body;
  std::string out;
  std::size_t sent = 0;
  std::uint64_t tag = 0;
  bool busy = false;
  bool got_head = false;
  std::int64_t intended_ns = 0;
};

/// Texts that may stand in an answer of one upstream.
struct Expected {
  TaggedText plain;
  TaggedText short_text;
  TaggedText streamed;
};

Expected expected_of(const AnswerShape& shape, int stream_tokens) {
  std::string streamed;
  for (int i = 0; i < stream_tokens; ++i) streamed += stream_token(shape, i);
  return {TaggedText("\"content\":\"" + plain_content(shape) + "\""), TaggedText("\"content\":\"" + join(answer_tokens(shape)) + "\""),
          TaggedText(streamed)};
}

class Load {
 public:
  explicit Load(Options options)
      : options_(std::move(options)),
        request_(chat_request(options_.request, options_.port)),
        student_(expected_of(options_.student, options_.stream_tokens)),
        teacher_(expected_of(options_.teacher, options_.stream_tokens)),
        epoll_(make_epoll()) {
    total_ = options_.mode == "stream" ? options_.connections : options_.requests;
    latencies_ns_.reserve(total_);
    connections_.resize(options_.connections);
  }

  int run() {
    start_ns_ = now_ns();
    deadline_ns_ = start_ns_ + options_.timeout_s * 1'000'000'000LL;
    if (options_.mode != "stream") {
      for (std::size_t i = 0; i < connections_.size(); ++i) open(i);
      for (std::size_t i = 0; i < connections_.size(); ++i) free_.push_back(i);
      start_ns_ = now_ns();
    }
    std::array<epoll_event, 256> events;
    while (done_ < total_ && error_.empty() && !stop_requested()) {
      const std::int64_t wait_ns = start_due();
      const timespec wait{wait_ns / 1'000'000'000, wait_ns % 1'000'000'000};
      const int n = epoll_pwait2(epoll_, events.data(), events.size(), &wait, nullptr);
      for (int i = 0; i < n; ++i) read(events[static_cast<std::size_t>(i)].data.u64, events[static_cast<std::size_t>(i)].events);
      if (now_ns() > deadline_ns_) error_ = fmt::format("timeout: {} of {} answers after {} s", done_, total_, options_.timeout_s);
    }
    end_ns_ = now_ns();
    report();
    return error_.empty() && done_ == total_ ? 0 : 1;
  }

 private:
  void open(std::size_t i) {
    connections_[i].fd = connect_to(options_.port);
    watch(epoll_, EPOLL_CTL_ADD, connections_[i].fd, EPOLLIN, i);
  }

  /// Time at which request `n` should be sent.
  std::int64_t intended_ns(std::uint64_t n) const {
    if (options_.mode == "open") return start_ns_ + static_cast<std::int64_t>(static_cast<double>(n) * 1e9 / options_.rate);
    if (options_.mode == "stream") return start_ns_ + static_cast<std::int64_t>(n) * options_.ramp_ms * 1'000'000LL / static_cast<std::int64_t>(total_);
    return 0;
  }

  /// Sends what is due; returns how long nothing will be.
  std::int64_t start_due() {
    constexpr std::int64_t kIdleNs = 100'000'000;
    const bool stream = options_.mode == "stream";
    while (started_ < total_) {
      const std::int64_t now = now_ns();
      const std::int64_t due = intended_ns(started_);
      if (due > now) return std::min(due - now, kIdleNs);
      if (!stream && free_.empty()) return kIdleNs;  // an answer will wake us
      std::size_t i = started_;
      if (stream) {
        open(i);
      } else {
        i = free_.front();
        free_.pop_front();
      }
      send(i, due == 0 ? now : due);
      // Whoever measures memory samples from here on. (A gateway that holds its streams sends no head yet.)
      if (stream && started_ == total_) mark("all_sent");
    }
    return kIdleNs;
  }

  void send(std::size_t i, std::int64_t intended) {
    Connection& c = connections_[i];
    const std::uint64_t n = started_++;
    c.tag = options_.first_tag + (options_.distinct > 0 ? n % options_.distinct : n);
    c.busy = true;
    c.got_head = false;
    c.intended_ns = intended;
    c.out.clear();
    request_.append_to(c.out, c.tag);
    c.sent = 0;
    flush(i);
  }

  void flush(std::size_t i) {
    Connection& c = connections_[i];
    const std::int64_t n = send_some(c.fd, std::string_view(c.out).substr(c.sent));
    if (n < 0) return fail(c, "the connection broke while sending");
    const bool waited = c.sent > 0;
    c.sent += static_cast<std::size_t>(n);
    const bool rest = c.sent < c.out.size();
    if (rest || waited) watch(epoll_, EPOLL_CTL_MOD, c.fd, EPOLLIN | (rest ? EPOLLOUT : 0U), i);
  }

  void read(std::size_t i, std::uint32_t events) {
    Connection& c = connections_[i];
    if ((events & EPOLLOUT) != 0) flush(i);
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) return;
    const ssize_t n = recv(c.fd, buffer_.data(), buffer_.size(), 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) return fail(c, "the connection was closed before the answer was complete");
    if (!c.busy) return fail(c, "bytes without a request");
    const std::string_view in(buffer_.data(), static_cast<std::size_t>(n));
    const std::size_t used = c.response.feed(in, [&c](std::string_view piece) { c.body += piece; });
    if (c.response.bad()) return fail(c, fmt::format("malformed response: {}", c.response.head().substr(0, 200)));
    if (!c.got_head && c.response.head_done()) {
      c.got_head = true;
      if (options_.mode == "stream") first_byte_ns_.push_back(now_ns() - c.intended_ns);
    }
    if (!c.response.done()) return;
    if (used < in.size()) return fail(c, "bytes after the answer");
    complete(i);
  }

  void complete(std::size_t i) {
    Connection& c = connections_[i];
    const std::int64_t now = now_ns();
    if (c.response.status() != 200) {
      return fail(c, fmt::format("status {}: {}", c.response.status(), std::string_view(c.body).substr(0, 300)));
    }
    const std::string wrong = options_.request.stream ? check_stream(c) : check_answer(c);
    if (!wrong.empty()) return fail(c, wrong + ": " + c.body.substr(0, 600));
    latencies_ns_.push_back(now - c.intended_ns);
    body_bytes_ += c.body.size();
    ++done_;
    const bool keep = c.response.keep_alive();
    c.busy = false;
    c.body.clear();
    c.response.reset();
    if (options_.mode == "stream" || !keep) {
      ::close(c.fd);
      c.fd = -1;
    }
    if (options_.mode != "stream") {
      if (!keep) {
        ++reconnects_;
        open(i);
      }
      free_.push_back(i);
    }
  }

  const Expected& expected(std::uint64_t tag) const {
    const bool teacher = options_.expect == "teacher" || (options_.expect == "cascade" && is_unsure(tag, options_.unsure_share));
    return teacher ? teacher_ : student_;
  }

  std::string check_answer(const Connection& c) {
    const std::string_view body = c.body;
    scratch_.clear();
    expected(c.tag).short_text.append_to(scratch_, c.tag);
    if (body.find(scratch_) == std::string_view::npos) {
      scratch_.clear();
      expected(c.tag).plain.append_to(scratch_, c.tag);
      if (body.find(scratch_) == std::string_view::npos) return fmt::format("not the text of request {}", c.tag);
    }
    if (body.front() != '{' || body.back() != '}') return "not a whole JSON object";
    if (body.find("\"finish_reason\":\"stop\"") == std::string_view::npos) return "no finish_reason";
    // Some proxies write the object anew.
    if (body.find("\"usage\":{") == std::string_view::npos || body.find("\"prompt_tokens\":412") == std::string_view::npos) return "no usage of the upstream";
    const bool has_logprobs = body.find("\"logprobs\":{\"content\":[{") != std::string_view::npos;
    if (options_.request.logprobs && !has_logprobs) return "logprobs were asked for and are missing";
    // Without a gateway that asks on its own, nothing but the client's wish brings logprobs.
    if (!options_.request.logprobs && body.find("\"top_logprobs\"") != std::string_view::npos) return "logprobs leaked to a client that did not ask";
    return {};
  }

  std::string check_stream(const Connection& c) {
    std::string_view rest = c.body;
    std::string text;
    bool finished = false;
    bool usage = false;
    bool done = false;
    while (!rest.empty()) {
      const std::size_t end = rest.find("\n\n");
      if (end == std::string_view::npos) return "an event without its end";
      std::string_view event = rest.substr(0, end);
      rest.remove_prefix(end + 2);
      if (event.starts_with(':')) {
        ++heartbeats_;
        continue;
      }
      if (!event.starts_with("data: ")) return "not a data event";
      event.remove_prefix(6);
      if (done) return "events after [DONE]";
      ++chunks_;
      if (event == "[DONE]") {
        done = true;
        continue;
      }
      const std::size_t delta = event.find("\"delta\":{");
      const std::size_t content = delta == std::string_view::npos ? delta : event.find("\"content\":\"", delta);
      if (content != std::string_view::npos && content < event.find('}', delta)) {
        const std::string_view value = event.substr(content + 11);
        text += value.substr(0, value.find('"'));
      }
      finished |= event.find("\"finish_reason\":\"stop\"") != std::string_view::npos;
      usage |= event.find("\"usage\":{\"prompt_tokens\":412") != std::string_view::npos;
      if (!options_.request.logprobs && event.find("\"top_logprobs\"") != std::string_view::npos) return "logprobs leaked to a client that did not ask";
    }
    if (!done) return "a stream without [DONE]";
    if (!finished || !usage) return "a stream without finish_reason or usage";
    if (text != expected(c.tag).streamed.with(c.tag)) return fmt::format("not the text of stream {}: '{}'", c.tag, text);
    return {};
  }

  void fail(const Connection& c, std::string_view what) {
    ++errors_;
    if (error_.empty()) error_ = fmt::format("request with tag {}: {}", c.tag, what);
  }

  /// A line on standard output before the report.
  static void mark(std::string_view name) {
    fmt::print("{{\"mark\":\"{}\"}}\n", name);
    std::fflush(stdout);
  }

  static double quantile_us(std::vector<std::int64_t>& sorted_ns, double q) {
    if (sorted_ns.empty()) return 0;
    const auto index = static_cast<std::size_t>(std::ceil(q * static_cast<double>(sorted_ns.size()))) - (q > 0 ? 1 : 0);
    return static_cast<double>(sorted_ns[std::min(index, sorted_ns.size() - 1)]) / 1000;
  }

  void report() {
    std::sort(latencies_ns_.begin(), latencies_ns_.end());
    std::sort(first_byte_ns_.begin(), first_byte_ns_.end());
    const double seconds = static_cast<double>(end_ns_ - start_ns_) / 1e9;
    if (!error_.empty()) fmt::print(stderr, "bench_load: {}\n", error_);
    fmt::print(
        R"({{"mode":"{}","requests":{},"errors":{},"seconds":{:.4f},"per_second":{:.1f},"p50_us":{:.1f},"p90_us":{:.1f},"p99_us":{:.1f},"max_us":{:.1f},)"
        R"("body_bytes":{},"chunks":{},"heartbeats":{},"reconnects":{},"first_byte_p50_us":{:.1f},"first_byte_p99_us":{:.1f}}})"
        "\n",
        options_.mode, done_, errors_ + (done_ < total_ && errors_ == 0 ? 1 : 0), seconds, static_cast<double>(done_) / seconds,
        quantile_us(latencies_ns_, 0.5), quantile_us(latencies_ns_, 0.9), quantile_us(latencies_ns_, 0.99), quantile_us(latencies_ns_, 1),
        body_bytes_, chunks_, heartbeats_, reconnects_, quantile_us(first_byte_ns_, 0.5), quantile_us(first_byte_ns_, 0.99));
  }

  Options options_;
  TaggedText request_;
  Expected student_;
  Expected teacher_;
  int epoll_;
  std::uint64_t total_ = 0;
  std::uint64_t started_ = 0;
  std::uint64_t done_ = 0;
  std::uint64_t errors_ = 0;
  std::uint64_t chunks_ = 0;
  std::uint64_t heartbeats_ = 0;
  std::uint64_t reconnects_ = 0;
  std::uint64_t body_bytes_ = 0;
  std::string error_;
  std::string scratch_;
  std::int64_t start_ns_ = 0;
  std::int64_t end_ns_ = 0;
  std::int64_t deadline_ns_ = 0;
  std::vector<Connection> connections_;
  std::deque<std::size_t> free_;
  std::vector<std::int64_t> latencies_ns_;
  std::vector<std::int64_t> first_byte_ns_;
  std::array<char, 256 * 1024> buffer_;
};

}  // namespace
}  // namespace understudy::bench

int main(int argc, char** argv) {
  using namespace understudy::bench;
  Options options;
  options.teacher.name = "teacher";
  CLI::App app{"HTTP load with checked answers"};
  app.add_option("--mode", options.mode)->check(CLI::IsMember({"closed", "open", "stream"}));
  app.add_option("--port", options.port, "on 127.0.0.1")->required();
  app.add_option("--model", options.request.model);
  app.add_option("--body-bytes", options.request.body_bytes, "JSON of a request");
  app.add_flag("--logprobs", options.request.logprobs, "the client asks for logprobs");
  app.add_option("--connections", options.connections, "connections, or streams at once")->check(CLI::Range(1, 100000));
  app.add_option("--requests", options.requests);
  app.add_option("--rate", options.rate, "requests a second (open)")->check(CLI::PositiveNumber);
  app.add_option("--first-tag", options.first_tag, "requests are numbered from here; another start is other content");
  bool hard = false;
  app.add_flag("--hard", hard, "requests of which the student is unsure about its --unsure share");
  app.add_option("--distinct", options.distinct, "repeat after this many contents; 0: never");
  app.add_option("--expect", options.expect, "who must have answered")->check(CLI::IsMember({"student", "teacher", "cascade"}));
  app.add_option("--unsure", options.unsure_share, "as given to the student's upstream; with --expect cascade");
  app.add_option("--answer-tokens", options.student.tokens, "as given to the upstreams");
  app.add_option("--top", options.student.top, "as given to the upstreams");
  app.add_option("--plain-bytes", options.student.plain_bytes, "as given to the upstreams");
  app.add_option("--stream-tokens", options.stream_tokens, "as given to the upstreams");
  app.add_option("--ramp-ms", options.ramp_ms, "streams are opened over this time");
  app.add_option("--timeout-s", options.timeout_s);
  CLI11_PARSE(app, argc, argv);
  options.request.stream = options.mode == "stream";
  if (hard) options.first_tag += kFirstHardTag;
  options.teacher.tokens = options.student.tokens;
  options.teacher.top = options.student.top;
  options.teacher.plain_bytes = options.student.plain_bytes;
  raise_file_limit();
  catch_stop_signals();
  prctl(PR_SET_TIMERSLACK, 1UL);
  Load load(std::move(options));
  return load.run();
}
