#pragma once
/// HTTP/1.1 codec: pure functions over bytes, no sockets, no threads, no clock. Strict where leniency lets two parties
/// disagree about where a message ends (RFC 9112 section 11.2): bare CR or LF, obs-fold, white space before a colon,
/// NUL and other control bytes, both lengths, differing lengths, any transfer coding but exactly `chunked`, odd chunk
/// sizes are errors, and so is a repeated Content-Length even if equal. Every result is the same however the bytes were cut on their way in (http_test.cc proves it).

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace understudy::net {

/// One header field. Views never own: see each function for what they point into.
struct Field {
  std::string_view name;   ///< a token, in the sender's letter case
  std::string_view value;  ///< without surrounding white space; may hold bytes >= 0x80, never control bytes but tab
};

/// No fields: where an empty list is an argument of a `co_await` expression (braces there are a trap of g++ 12).
inline constexpr std::span<const Field> kNoFields;

/// Field names are compared without regard to ASCII letter case.
bool equals_ignore_case(std::string_view a, std::string_view b);
/// The first field of that name. O(number of fields).
std::optional<std::string_view> find_field(std::span<const Field> fields, std::string_view name);
/// True when the comma-separated list `value` holds `token`, ignoring case: list_holds("Keep-Alive, close", "close").
bool list_holds(std::string_view value, std::string_view token);
/// Fields that end at each hop (RFC 9110 section 7.6.1) and must not be forwarded, whichever way: connection,
/// keep-alive, proxy-connection, proxy-authenticate, proxy-authorization, te, trailer, transfer-encoding, upgrade; also
/// content-length, expect and host, which each hop states anew. Fields that `connection` names are the caller's to drop.
bool is_hop_by_hop(std::string_view name);
bool is_token(std::string_view text);

/// Bounds of one head.
struct HeadLimits {
  std::size_t bytes = 32 * 1024;  ///< first line and fields with all line ends
  std::size_t fields = 128;
};

/// Finds the end of a head in bytes that arrive piece by piece, in linear time however small the pieces.
class HeadScanner {
 public:
  /// `buffer` is everything received so far for this message; it only ever grows between calls.
  /// @return the head's size including its empty line; nullopt when more bytes are needed;
  ///         kHeaderTooLarge over the limit; kInvalidRequest for a bare LF
  Result<std::optional<std::size_t>> scan(std::string_view buffer, const HeadLimits& limits);
  void reset() { *this = {}; }

 private:
  std::size_t line_start_ = 0;
  std::size_t scanned_ = 0;
};

/// What a client asked. All views point into the parsed buffer.
struct RequestHead {
  std::string_view method;         ///< a token, usually upper case
  std::string_view target;         ///< as sent
  std::string_view path;           ///< the target's path, not decoded: "/v1/models"; "*" for `OPTIONS *`
  std::string_view query;          ///< after the first '?', not decoded, without it; empty where none
  int minor_version = 1;           ///< HTTP/1.0 or HTTP/1.1
  std::vector<Field> fields;
  std::optional<std::uint64_t> content_length;
  bool chunked = false;
  bool keep_alive = true;          ///< what the client allows after this exchange
  bool expect_continue = false;

  std::optional<std::string_view> find(std::string_view name) const { return find_field(fields, name); }
};

/// Parses a whole head (as measured by HeadScanner, empty line included) into `head`, reusing its vector.
/// kInvalidRequest with a message that names what is wrong; kHeaderTooLarge over `limits`; kUnsupported for an HTTP
/// version other than 1.x. Accepts origin-form, absolute-form and `OPTIONS *`.
Result<void> parse_request_head(std::string_view bytes, RequestHead& head, const HeadLimits& limits = {});

/// How a response's body ends.
enum class BodyFraming : std::uint8_t { kNone, kLength, kChunked, kUntilClose };

struct ResponseHead {
  int status = 0;              ///< 100..599
  std::string_view reason;     ///< may be empty
  int minor_version = 1;
  std::vector<Field> fields;
  BodyFraming framing = BodyFraming::kNone;
  std::uint64_t content_length = 0;  ///< where framing is kLength
  bool keep_alive = true;      ///< the connection may carry another request after this body

  std::optional<std::string_view> find(std::string_view name) const { return find_field(fields, name); }
};

/// Parses a whole response head. `to_head_request` says that the request was HEAD, so that no body follows.
/// kUpstreamProtocol with a message that names what is wrong.
Result<void> parse_response_head(std::string_view bytes, bool to_head_request, ResponseHead& head,
                                 const HeadLimits& limits = {});

/// Takes chunked framing off, piece by piece. Extensions and trailers are checked and dropped; a chunk-size line holds
/// at most 256 bytes, trailers at most 8 KiB.
class ChunkedDecoder {
 public:
  /// Consumes from the front of `input`.
  /// @return the next slice of payload (a view into `input`, never empty), or nullopt when `input` is used up or the
  ///         body is complete (then `done()`, and `input` starts with the byte after the body);
  ///         kInvalidRequest for anything malformed
  Result<std::optional<std::string_view>> next(std::string_view& input);
  bool done() const { return state_ == State::kDone; }
  void reset() { *this = {}; }

 private:
  enum class State : std::uint8_t {
    kSize, kExtension, kSizeLf, kData, kDataCr, kDataLf, kTrailerStart, kTrailer, kTrailerLf, kEndLf, kDone
  };
  State state_ = State::kSize;
  std::uint8_t digits_ = 0;
  std::uint16_t line_bytes_ = 0;
  std::uint64_t left_ = 0;
};

/// "OK", "Not Found"...; "Unknown" for a status without a registered phrase.
std::string_view reason_phrase(int status);

/// Seconds since 1970 of a date in the form that senders must use ("Sun, 06 Nov 1994 08:49:37 GMT"); nullopt for anything else.
std::optional<std::int64_t> parse_http_date(std::string_view text);

/// Appends one field line. Control bytes in the value become spaces, so that nothing a value holds can start a new
/// line; a name that is not a token is our bug (assertion).
void append_field(std::string& out, std::string_view name, std::string_view value);
/// Appends "HTTP/1.1 200 OK" CRLF. Fields and the empty line are the caller's.
void append_status_line(std::string& out, int status);
/// Appends "POST /path HTTP/1.1" CRLF. Bytes of the target that may not stand in one are percent-encoded.
void append_request_line(std::string& out, std::string_view method, std::string_view target);
/// Writes "1f4" CRLF into `out` (at least 18 bytes) and returns its length: the line before a chunk's bytes.
std::size_t format_chunk_size(std::span<char> out, std::uint64_t size);

}  // namespace understudy::net
