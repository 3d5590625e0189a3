#include <chrono>
#include <cstring>

#include "net/http.h"
#include "net/internal/ascii.h"

namespace understudy::net {
namespace {

using internal::is_digit;
using internal::lower;
using internal::printable;

Unexpected bad(std::string message) { return fail(ErrorKind::kInvalidRequest, std::move(message)); }

/// What the fields say about the message's end and the connection's.
struct Framing {
  std::optional<std::uint64_t> content_length;
  bool chunked = false;
  bool close = false;
  bool keep_alive = false;
  bool expect_continue = false;
  int hosts = 0;
};

Result<std::uint64_t> parse_content_length(std::string_view value) {
  if (value.empty() || value.size() > 18) return bad("Content-Length is not a plain number: \"" + printable(value) + "\"");
  std::uint64_t length = 0;
  for (const char c : value) {
    if (!is_digit(c)) return bad("Content-Length is not a plain number: \"" + printable(value) + "\"");
    length = length * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return length;
}

/// Looks at one field whose meaning the codec itself needs; the length of the name tells most others apart at once.
Result<void> note_field(const Field& field, Framing& framing) {
  switch (field.name.size()) {
    case 4:
      if (equals_ignore_case(field.name, "host")) ++framing.hosts;
      break;
    case 6:
      if (equals_ignore_case(field.name, "expect")) framing.expect_continue = equals_ignore_case(field.value, "100-continue");
      break;
    case 10:
      if (equals_ignore_case(field.name, "connection")) {
        framing.close |= list_holds(field.value, "close");
        framing.keep_alive |= list_holds(field.value, "keep-alive");
      }
      break;
    case 14:
      if (equals_ignore_case(field.name, "content-length")) {
        if (framing.content_length) return bad("more than one Content-Length");
        auto length = parse_content_length(field.value);
        if (!length) return fail(std::move(length.error()));
        framing.content_length = *length;
      }
      break;
    case 17:
      if (equals_ignore_case(field.name, "transfer-encoding")) {
        if (framing.chunked) return bad("more than one Transfer-Encoding");
        if (!equals_ignore_case(field.value, "chunked")) {
          return bad("Transfer-Encoding \"" + printable(field.value) + "\" is not supported; only chunked is");
        }
        framing.chunked = true;
      }
      break;
    default: break;
  }
  return {};
}

/// Takes the next line off `rest`, without its CRLF. The head was measured by HeadScanner, but this may not rely on it.
Result<std::string_view> take_line(std::string_view& rest) {
  const auto* newline = static_cast<const char*>(std::memchr(rest.data(), '\n', rest.size()));
  if (newline == nullptr) return bad("the head ends inside a line");
  const auto size = static_cast<std::size_t>(newline - rest.data());
  if (size == 0 || rest[size - 1] != '\r') return bad("a line ends in a bare LF");
  const std::string_view line = rest.substr(0, size - 1);
  rest.remove_prefix(size + 1);
  return line;
}

Result<Field> parse_field(std::string_view line) {
  if (line.front() == ' ' || line.front() == '\t') return bad("a header field is folded over two lines (obs-fold)");
  std::size_t end = 0;
  while (end < line.size() && internal::is_token_byte(line[end])) ++end;
  if (end == 0 || end == line.size() || line[end] != ':') {
    return bad("malformed header field \"" + printable(line) + "\"");
  }
  const Field field{line.substr(0, end), internal::trim(line.substr(end + 1))};
  if (!internal::is_field_value(field.value)) return bad("control byte in header field \"" + printable(field.name) + "\"");
  return field;
}

constexpr std::size_t kUsualFields = 12;

Result<void> parse_fields(std::string_view rest, std::vector<Field>& fields, Framing& framing, const HeadLimits& limits) {
  fields.clear();
  fields.reserve(kUsualFields);
  for (;;) {
    auto line = take_line(rest);
    if (!line) return fail(std::move(line.error()));
    if (line->empty()) break;
    auto field = parse_field(*line);
    if (!field) return fail(std::move(field.error()));
    if (fields.size() == limits.fields) {
      return fail(ErrorKind::kHeaderTooLarge, "more than " + std::to_string(limits.fields) + " header fields");
    }
    fields.push_back(*field);
    auto noted = note_field(*field, framing);
    if (!noted) return noted;
  }
  if (!rest.empty()) return bad("bytes after the end of the head");
  if (framing.chunked && framing.content_length) return bad("both Content-Length and Transfer-Encoding");
  return {};
}

/// "HTTP/1.0" or "HTTP/1.1"; the minor version.
Result<int> parse_version(std::string_view text) {
  if (text == "HTTP/1.1") return 1;
  if (text == "HTTP/1.0") return 0;
  if (text.size() == 8 && text.starts_with("HTTP/") && is_digit(text[5]) && text[6] == '.' && is_digit(text[7])) {
    return fail(ErrorKind::kUnsupported, "HTTP version \"" + printable(text) + "\" is not supported; use HTTP/1.1");
  }
  return bad("malformed HTTP version \"" + printable(text) + "\"");
}

/// Splits the target into path and query.
Result<void> take_target(RequestHead& head) {
  std::string_view target = head.target;
  if (target.empty() || !internal::is_target(target)) return bad("malformed request target \"" + printable(target) + "\"");
  if (target == "*" && head.method == "OPTIONS") {
    head.path = target;
    head.query = {};
    return {};
  }
  if (target.front() != '/') {  // absolute-form, which servers must accept (RFC 9112 section 3.2.2)
    std::size_t skip = 0;
    if (target.size() > 7 && equals_ignore_case(target.substr(0, 7), "http://")) skip = 7;
    if (target.size() > 8 && equals_ignore_case(target.substr(0, 8), "https://")) skip = 8;
    if (skip == 0) return bad("malformed request target \"" + printable(target) + "\"");
    const std::size_t authority = target.find_first_of("/?", skip);
    if (authority == skip) return bad("malformed request target \"" + printable(target) + "\"");
    target = authority == std::string_view::npos ? std::string_view("/") : target.substr(authority);
  }
  const std::size_t question = target.find('?');
  head.path = target.substr(0, question);
  if (head.path.empty()) head.path = "/";
  head.query = question == std::string_view::npos ? std::string_view{} : target.substr(question + 1);
  return {};
}

}  // namespace

bool equals_ignore_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

std::optional<std::string_view> find_field(std::span<const Field> fields, std::string_view name) {
  for (const Field& field : fields) {
    if (equals_ignore_case(field.name, name)) return field.value;
  }
  return std::nullopt;
}

bool list_holds(std::string_view value, std::string_view token) {
  while (!value.empty()) {
    const std::size_t comma = value.find(',');
    if (equals_ignore_case(internal::trim(value.substr(0, comma)), token)) return true;
    if (comma == std::string_view::npos) return false;
    value.remove_prefix(comma + 1);
  }
  return false;
}

bool is_hop_by_hop(std::string_view name) {
  static constexpr std::array<std::string_view, 12> kNames = {
      "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te",
      "trailer",    "transfer-encoding", "upgrade",   "content-length",     "expect",              "host"};
  for (const std::string_view hop : kNames) {
    if (equals_ignore_case(name, hop)) return true;
  }
  return false;
}

std::optional<std::int64_t> parse_http_date(std::string_view text) {
  static constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  static constexpr std::string_view kForm = "aaa, 00 aaa 0000 00:00:00 GMT";
  if (text.size() != kForm.size()) return std::nullopt;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool letter = lower(text[i]) >= 'a' && lower(text[i]) <= 'z';
    if (kForm[i] == 'a' ? !letter : kForm[i] == '0' ? !is_digit(text[i]) : text[i] != kForm[i]) return std::nullopt;
  }
  const auto number = [text](std::size_t at, std::size_t digits) {
    int value = 0;
    for (const char c : text.substr(at, digits)) value = value * 10 + (c - '0');
    return value;
  };
  const std::size_t month = kMonths.find(text.substr(8, 3));
  if (month == std::string_view::npos || month % 3 != 0) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year{number(12, 4)}, std::chrono::month{static_cast<unsigned>(month / 3 + 1)},
                                         std::chrono::day{static_cast<unsigned>(number(5, 2))}};
  const int hour = number(17, 2);
  const int minute = number(20, 2);
  const int second = number(23, 2);
  if (!date.ok() || hour > 23 || minute > 59 || second > 60) return std::nullopt;
  const std::chrono::days days = std::chrono::sys_days(date).time_since_epoch();
  return std::int64_t{days.count()} * 86'400 + hour * 3600 + minute * 60 + second;
}

bool is_token(std::string_view text) {
  for (const char c : text) {
    if (!internal::is_token_byte(c)) return false;
  }
  return !text.empty();
}

Result<std::optional<std::size_t>> HeadScanner::scan(std::string_view buffer, const HeadLimits& limits) {
  const std::size_t end = buffer.size() < limits.bytes ? buffer.size() : limits.bytes;
  while (scanned_ < end) {
    const auto* newline = static_cast<const char*>(std::memchr(buffer.data() + scanned_, '\n', end - scanned_));
    if (newline == nullptr) {
      scanned_ = end;
      break;
    }
    const auto at = static_cast<std::size_t>(newline - buffer.data());
    if (at == line_start_ || buffer[at - 1] != '\r') return bad("a line of the head ends in a bare LF");
    const bool empty = at - 1 == line_start_;
    const bool leading = line_start_ == 0;  // one empty line before a request line is tolerated (RFC 9112 section 2.2)
    scanned_ = line_start_ = at + 1;
    if (empty && !leading) return std::optional<std::size_t>(at + 1);
  }
  if (buffer.size() >= limits.bytes) {
    return fail(ErrorKind::kHeaderTooLarge, "the head is longer than " + std::to_string(limits.bytes) + " bytes");
  }
  return std::optional<std::size_t>();
}

Result<void> parse_request_head(std::string_view bytes, RequestHead& head, const HeadLimits& limits) {
  if (bytes.starts_with("\r\n")) bytes.remove_prefix(2);
  std::string_view rest = bytes;
  auto line = take_line(rest);
  if (!line) return fail(std::move(line.error()));

  const std::size_t first = line->find(' ');
  const std::size_t last = line->rfind(' ');
  if (first == std::string_view::npos || first == last) return bad("malformed request line \"" + printable(*line) + "\"");
  head.method = line->substr(0, first);
  head.target = line->substr(first + 1, last - first - 1);
  if (!is_token(head.method)) return bad("malformed method \"" + printable(head.method) + "\"");
  auto version = parse_version(line->substr(last + 1));
  if (!version) return fail(std::move(version.error()));
  head.minor_version = *version;
  auto target = take_target(head);
  if (!target) return target;

  Framing framing;
  auto fields = parse_fields(rest, head.fields, framing, limits);
  if (!fields) return fields;
  if (framing.hosts > 1) return bad("more than one Host");
  if (framing.hosts == 0 && head.minor_version == 1) return bad("no Host");
  if (framing.chunked && head.minor_version == 0) return bad("Transfer-Encoding in an HTTP/1.0 request");
  head.content_length = framing.content_length;
  head.chunked = framing.chunked;
  head.keep_alive = head.minor_version == 1 ? !framing.close : framing.keep_alive && !framing.close;
  head.expect_continue = framing.expect_continue && head.minor_version == 1;
  return {};
}

Result<void> parse_response_head(std::string_view bytes, bool to_head_request, ResponseHead& head, const HeadLimits& limits) {
  const auto protocol = [](Error error) {
    error.kind = ErrorKind::kUpstreamProtocol;
    return fail(std::move(error));
  };
  std::string_view rest = bytes;
  auto line = take_line(rest);
  if (!line) return protocol(std::move(line.error()));
  auto version = parse_version(line->substr(0, 8));
  if (!version) return protocol(std::move(version.error()));
  head.minor_version = *version;
  const std::string_view tail = line->substr(8);  // " 200 OK", " 200 " or " 200"
  if (tail.size() < 4 || tail[0] != ' ' || tail[1] < '1' || tail[1] > '5' || !is_digit(tail[2]) || !is_digit(tail[3]) ||
      (tail.size() > 4 && tail[4] != ' ') || !internal::is_field_value(tail)) {
    return protocol(Error(ErrorKind::kUpstreamProtocol, "malformed status line \"" + printable(*line) + "\""));
  }
  head.status = (tail[1] - '0') * 100 + (tail[2] - '0') * 10 + (tail[3] - '0');
  head.reason = tail.size() > 5 ? tail.substr(5) : std::string_view{};

  Framing framing;
  auto fields = parse_fields(rest, head.fields, framing, limits);
  if (!fields) return protocol(std::move(fields.error()));
  if (framing.chunked && head.minor_version == 0) {
    return protocol(Error(ErrorKind::kUpstreamProtocol, "Transfer-Encoding in an HTTP/1.0 response"));
  }
  head.keep_alive = head.minor_version == 1 ? !framing.close : framing.keep_alive && !framing.close;
  head.content_length = 0;
  if (to_head_request || head.status < 200 || head.status == 204 || head.status == 304) {
    head.framing = BodyFraming::kNone;
  } else if (framing.chunked) {
    head.framing = BodyFraming::kChunked;
  } else if (framing.content_length) {
    head.framing = BodyFraming::kLength;
    head.content_length = *framing.content_length;
  } else {
    head.framing = BodyFraming::kUntilClose;
    head.keep_alive = false;
  }
  return {};
}

}  // namespace understudy::net
