#pragma once
/// Errors: few kinds, each with one fixed meaning, and one table that maps a kind to its HTTP status, its OpenAI error
/// type and code, whether a retry can help, and its metric label. docs/operate/errors.md holds the same table; a test
/// compares the two.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#ifdef UNDERSTUDY_TL_EXPECTED
#include <tl/expected.hpp>
#else
#include <expected>
#endif

namespace understudy {

enum class ErrorKind : std::uint8_t {
  kInvalidRequest,       ///< the client's request cannot be understood or is not allowed as written
  kUnauthorized,         ///< no key, or a key we do not know
  kForbidden,            ///< the key is known but lacks the scope
  kNotFound,             ///< no such route, request or object
  kModelNotFound,        ///< no such model and `unknown_model = "error"`
  kMethodNotAllowed,     ///< the route exists, the method does not
  kRequestTimeout,       ///< the client did not send its request in time
  kConflict,             ///< same idempotency key, other body; or a second writer on a data directory
  kTooLarge,             ///< body over `max_body_bytes`
  kHeaderTooLarge,       ///< head over `max_header_bytes`
  kBudgetExceeded,       ///< a budget forbids the call
  kRateLimited,          ///< a request or token rate limit of ours
  kOverloaded,           ///< a queue or connection limit of ours is reached, or we are draining
  kUpstreamUnreachable,  ///< name, connect or TLS failure, before any byte was answered
  kUpstreamTimeout,      ///< the upstream did not answer before the deadline
  kUpstreamProtocol,     ///< the upstream answered with something that is not HTTP, SSE or JSON as agreed
  kCircuitOpen,          ///< the upstream has failed again and again and is not asked for a while
  kUpstreamStatus,       ///< the upstream answered with an error status; `Error::upstream_status` holds it
  kCancelled,            ///< the caller went away
  kUsage,                ///< wrong flags on the command line
  kConfig,               ///< unreadable or wrong configuration
  kIo,                   ///< disk or socket failure on our side
  kCorrupt,              ///< stored bytes fail their checksum or schema
  kUnsupported,          ///< well formed, but this version cannot do it (e.g. data directory from a newer version)
  kInternal,             ///< a bug of ours
};

struct ErrorInfo {
  ErrorKind kind;
  int http_status;
  std::string_view type;   ///< OpenAI `error.type`
  std::string_view code;   ///< OpenAI `error.code`; empty is null
  bool retryable;          ///< a client may try the same request again
  std::string_view label;  ///< metric label and `kind` in `--json`
};

/// The whole table, one row per kind in enum order.
std::span<const ErrorInfo> error_table();
const ErrorInfo& error_info(ErrorKind kind);

struct [[nodiscard]] Error {
  ErrorKind kind = ErrorKind::kInternal;
  std::string message;  ///< a sentence for the person who must act: the thing, the place, the remedy
  std::string param;    ///< request field or configuration key at fault; empty where none
  int upstream_status = 0;
  std::optional<std::int64_t> retry_after_ms;

  Error() = default;
  Error(ErrorKind k, std::string m, std::string p = {}) : kind(k), message(std::move(m)), param(std::move(p)) {}

  /// Status for our reply: the upstream's own where it has meaning to the client (4xx), else the table's.
  int http_status() const;
};

#ifdef UNDERSTUDY_TL_EXPECTED
template <typename T>
using Result = tl::expected<T, Error>;
using Unexpected = tl::unexpected<Error>;
#else
template <typename T>
using Result = std::expected<T, Error>;
using Unexpected = std::unexpected<Error>;
#endif

inline Unexpected fail(ErrorKind kind, std::string message, std::string param = {}) {
  return Unexpected(Error(kind, std::move(message), std::move(param)));
}
inline Unexpected fail(Error error) { return Unexpected(std::move(error)); }

}  // namespace understudy
