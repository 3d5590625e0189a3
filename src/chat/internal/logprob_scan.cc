#include "chat/internal/logprob_scan.h"

#include <charconv>
#include <cstdint>
#include <cstring>

namespace understudy::chat::internal {
namespace {

class Scanner {
 public:
  Scanner(std::string_view text, LogprobSeries& series) : p_(text.data()), end_(text.data() + text.size()), series_(series) {}

  bool tokens() {
    if (!take('[')) return false;
    if (take(']')) return true;
    do {
      if (!token()) return false;
    } while (take_comma());
    return take(']');
  }
  const char* at() const { return p_; }

 private:
  bool take(char c) {
    if (p_ == end_ || *p_ != c) return false;
    ++p_;
    return true;
  }
  void blank() {
    if (p_ != end_ && *p_ == ' ') ++p_;
  }
  bool take_comma() {
    if (!take(',')) return false;
    blank();
    return true;
  }
  bool take_word(std::string_view word) {
    if (static_cast<std::size_t>(end_ - p_) < word.size() || std::memcmp(p_, word.data(), word.size()) != 0) return false;
    p_ += word.size();
    return true;
  }

  /// `"key":`, without escapes.
  bool key(std::string_view& name) {
    if (!take('"')) return false;
    const auto* quote = static_cast<const char*>(std::memchr(p_, '"', static_cast<std::size_t>(end_ - p_)));
    if (quote == nullptr) return false;
    name = {p_, static_cast<std::size_t>(quote - p_)};
    p_ = quote + 1;
    if (!take(':')) return false;
    blank();
    return true;
  }

  /// A number, or null for minus infinity, as the parser's way reads them.
  bool logprob(float& out) {
    if (take_word("null")) {
      out = -100.0F;
      return true;
    }
    const char* digit = p_ != end_ && *p_ == '-' ? p_ + 1 : p_;
    if (digit == end_ || *digit < '0' || *digit > '9') return false;  // from_chars would take "-inf"
    double value = 0;
    const auto [rest, error] = std::from_chars(p_, end_, value);
    if (error != std::errc()) return false;
    p_ = rest;
    out = static_cast<float>(value);
    return true;
  }

  /// A value that nobody reads: a string, null, or an array of numbers.
  bool skip() {
    if (take('"')) {
      for (;;) {
        while (p_ != end_ && *p_ != '"' && *p_ != '\\') ++p_;
        if (p_ == end_) return false;
        if (*p_++ == '"') return true;
        if (p_ == end_) return false;
        ++p_;
      }
    }
    if (take('[')) {
      while (p_ != end_ && ((*p_ >= '0' && *p_ <= '9') || *p_ == ',' || *p_ == ' ')) ++p_;
      return take(']');
    }
    return take_word("null");
  }

  bool alternatives(std::uint16_t& count) {
    if (take_word("null")) return true;
    if (!take('[')) return false;
    if (take(']')) return true;
    do {
      if (!take('{')) return false;
      do {
        std::string_view name;
        if (!key(name)) return false;
        if (name == "logprob") {
          float value = 0;
          if (!logprob(value)) return false;
          series_.alternatives.push_back(value);
          ++count;
        } else if (!skip()) {
          return false;
        }
      } while (take_comma());
      if (!take('}')) return false;
    } while (take_comma());
    return take(']');
  }

  bool token() {
    if (!take('{')) return false;
    float chosen = 0;
    bool seen = false;
    std::uint16_t count = 0;
    do {
      std::string_view name;
      if (!key(name)) return false;
      if (name == "logprob") {
        if (!logprob(chosen)) return false;
        seen = true;
      } else if (!(name == "top_logprobs" ? alternatives(count) : skip())) {
        return false;
      }
    } while (take_comma());
    if (!seen || !take('}')) return false;
    series_.chosen.push_back(chosen);
    series_.per_token.push_back(count);
    return true;
  }

  const char* p_;
  const char* const end_;
  LogprobSeries& series_;
};

}  // namespace

std::size_t scan_token_logprobs(std::string_view text, LogprobSeries& series) {
  const std::size_t tokens = series.chosen.size();
  const std::size_t alternatives = series.alternatives.size();
  Scanner scanner(text, series);
  if (scanner.tokens()) return static_cast<std::size_t>(scanner.at() - text.data());
  series.chosen.resize(tokens);
  series.per_token.resize(tokens);
  series.alternatives.resize(alternatives);
  return 0;
}

}  // namespace understudy::chat::internal
