#pragma once
/// Finds where one HTTP/1.1 message ends, and nothing else: start line, Content-Length or chunked framing, keep-alive.
/// Shared by the load generator, the mock upstream and the floor proxy. It is strict about what it looks at (a message
/// with both lengths, with neither where one is needed, or with a malformed chunk is bad) and blind to everything else.

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace understudy::bench {

/// Case-insensitive comparison of an ASCII header name.
inline bool name_equals(std::string_view a, std::string_view lower) {
  if (a.size() != lower.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const char c = a[i] >= 'A' && a[i] <= 'Z' ? static_cast<char>(a[i] + 32) : a[i];
    if (c != lower[i]) return false;
  }
  return true;
}

class HttpFramer {
 public:
  enum class Kind : std::uint8_t { kRequest, kResponse };
  static constexpr std::size_t kMaxHeadBytes = 64 * 1024;

  explicit HttpFramer(Kind kind) : kind_(kind) {}

  /// Takes bytes in the order they come and returns how many belong to this message: all of them unless the message
  /// ended (done) or broke (bad). `on_body` is called with pieces of the decoded body.
  template <typename OnBody>
  std::size_t feed(std::string_view in, OnBody&& on_body) {
    std::size_t used = 0;
    while (used < in.size() && state_ != State::kDone && state_ != State::kBad) {
      used += step(in.substr(used), on_body);
    }
    return used;
  }

  bool head_done() const { return state_ != State::kHead && state_ != State::kBad; }
  bool done() const { return state_ == State::kDone; }
  bool bad() const { return state_ == State::kBad; }
  bool started() const { return state_ != State::kHead || !head_.empty(); }

  /// Valid once head_done().
  std::string_view head() const { return head_; }
  std::string_view start_line() const { return std::string_view(head_).substr(0, head_.find("\r\n")); }
  bool keep_alive() const { return keep_alive_; }
  bool chunked() const { return chunked_; }
  int status() const { return status_; }

  void reset() {
    state_ = State::kHead;
    head_.clear();
    remaining_ = 0;
    line_.clear();
    chunked_ = false;
    keep_alive_ = true;
    status_ = 0;
  }

 private:
  enum class State : std::uint8_t { kHead, kLength, kChunkSize, kChunkData, kChunkEnd, kTrailer, kDone, kBad };

  template <typename OnBody>
  std::size_t step(std::string_view in, OnBody& on_body) {
    switch (state_) {
      case State::kHead: return take_head(in);
      case State::kLength:
      case State::kChunkData: {
        const std::size_t n = in.size() < remaining_ ? in.size() : static_cast<std::size_t>(remaining_);
        on_body(in.substr(0, n));
        remaining_ -= n;
        if (remaining_ == 0) state_ = state_ == State::kLength ? State::kDone : State::kChunkEnd;
        return n;
      }
      default: return take_line(in);
    }
  }

  std::size_t take_head(std::string_view in) {
    const std::size_t before = head_.size();
    const std::size_t search_from = before < 3 ? 0 : before - 3;
    head_.append(in);
    const std::size_t end = head_.find("\r\n\r\n", search_from);
    if (end == std::string::npos) {
      if (head_.size() > kMaxHeadBytes) state_ = State::kBad;
      return in.size();
    }
    head_.resize(end + 4);
    parse_head();
    return end + 4 - before;
  }

  /// Chunk sizes, the line end after a chunk's data, and trailers: lines, possibly cut anywhere.
  std::size_t take_line(std::string_view in) {
    const std::size_t newline = in.find('\n');
    line_.append(in.substr(0, newline == std::string_view::npos ? in.size() : newline + 1));
    if (newline == std::string_view::npos) {
      if (line_.size() > 4096) state_ = State::kBad;
      return in.size();
    }
    if (line_.size() < 2 || line_[line_.size() - 2] != '\r') {
      state_ = State::kBad;
    } else {
      end_line(std::string_view(line_).substr(0, line_.size() - 2));
    }
    line_.clear();
    return newline + 1;
  }

  void end_line(std::string_view line) {
    if (state_ == State::kChunkEnd) {
      state_ = line.empty() ? State::kChunkSize : State::kBad;
    } else if (state_ == State::kTrailer) {
      if (line.empty()) state_ = State::kDone;
    } else {
      line = line.substr(0, line.find(';'));
      const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), remaining_, 16);
      if (error != std::errc() || end != line.data() + line.size() || line.empty()) {
        state_ = State::kBad;
      } else {
        state_ = remaining_ == 0 ? State::kTrailer : State::kChunkData;
      }
    }
  }

  void parse_head() {
    bool has_length = false;
    bool bad = false;
    std::string_view rest = head_;
    const std::string_view first = rest.substr(0, rest.find("\r\n"));
    rest.remove_prefix(first.size() + 2);
    if (kind_ == Kind::kResponse) {
      bad = first.size() < 12 || !first.starts_with("HTTP/1.1 ") ||
            std::from_chars(first.data() + 9, first.data() + 12, status_).ptr != first.data() + 12;
    } else {
      bad = !first.ends_with(" HTTP/1.1");
    }
    while (rest.size() > 2) {
      const std::string_view line = rest.substr(0, rest.find("\r\n"));
      rest.remove_prefix(line.size() + 2);
      const std::size_t colon = line.find(':');
      if (colon == std::string_view::npos) {
        bad = true;
        break;
      }
      const std::string_view name = line.substr(0, colon);
      std::string_view value = line.substr(colon + 1);
      while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
      if (name.size() == 14 && name_equals(name, "content-length")) {
        bad |= has_length || value.empty() ||
               std::from_chars(value.data(), value.data() + value.size(), remaining_).ptr != value.data() + value.size();
        has_length = true;
      } else if (name.size() == 17 && name_equals(name, "transfer-encoding")) {
        chunked_ = name_equals(value, "chunked");
        bad |= !chunked_;
      } else if (name.size() == 10 && name_equals(name, "connection")) {
        if (name_equals(value, "close")) keep_alive_ = false;
      }
    }
    if (bad || (has_length && chunked_)) {
      state_ = State::kBad;
    } else if (chunked_) {
      state_ = State::kChunkSize;
    } else if (has_length) {
      state_ = remaining_ == 0 ? State::kDone : State::kLength;
    } else {
      // A request without a length has no body; a response without one would run until the connection closes, which
      // none of these programs does.
      state_ = kind_ == Kind::kRequest || status_ == 204 || status_ == 304 ? State::kDone : State::kBad;
    }
  }

  Kind kind_;
  State state_ = State::kHead;
  bool chunked_ = false;
  bool keep_alive_ = true;
  int status_ = 0;
  std::uint64_t remaining_ = 0;
  std::string head_;
  std::string line_;
};

}  // namespace understudy::bench
