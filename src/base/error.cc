#include "base/error.h"

#include <array>
#include <cstddef>

namespace understudy {
namespace {

using enum ErrorKind;

constexpr std::array<ErrorInfo, 25> kTable{{
    {kInvalidRequest, 400, "invalid_request_error", "", false, "invalid_request"},
    {kUnauthorized, 401, "authentication_error", "invalid_api_key", false, "unauthorized"},
    {kForbidden, 403, "permission_error", "insufficient_permissions", false, "forbidden"},
    {kNotFound, 404, "invalid_request_error", "not_found", false, "not_found"},
    {kModelNotFound, 404, "invalid_request_error", "model_not_found", false, "model_not_found"},
    {kMethodNotAllowed, 405, "invalid_request_error", "method_not_allowed", false, "method_not_allowed"},
    {kRequestTimeout, 408, "invalid_request_error", "request_timeout", true, "request_timeout"},
    {kConflict, 409, "invalid_request_error", "conflict", false, "conflict"},
    {kTooLarge, 413, "invalid_request_error", "request_too_large", false, "too_large"},
    {kHeaderTooLarge, 431, "invalid_request_error", "header_too_large", false, "header_too_large"},
    {kBudgetExceeded, 402, "insufficient_quota", "budget_exceeded", false, "budget_exceeded"},
    {kRateLimited, 429, "rate_limit_error", "rate_limit_exceeded", true, "rate_limited"},
    {kOverloaded, 503, "server_error", "overloaded", true, "overloaded"},
    {kUpstreamUnreachable, 502, "upstream_error", "upstream_unreachable", true, "upstream_unreachable"},
    {kUpstreamTimeout, 504, "upstream_error", "upstream_timeout", true, "upstream_timeout"},
    {kUpstreamProtocol, 502, "upstream_error", "upstream_protocol", true, "upstream_protocol"},
    {kCircuitOpen, 503, "upstream_error", "circuit_open", true, "circuit_open"},
    {kUpstreamStatus, 502, "upstream_error", "upstream_status", true, "upstream_status"},
    {kCancelled, 499, "client_closed", "cancelled", false, "cancelled"},
    {kUsage, 400, "invalid_request_error", "usage", false, "usage"},
    {kConfig, 500, "server_error", "config", false, "config"},
    {kIo, 500, "server_error", "io", true, "io"},
    {kCorrupt, 500, "server_error", "corrupt", false, "corrupt"},
    {kUnsupported, 501, "server_error", "unsupported", false, "unsupported"},
    {kInternal, 500, "server_error", "internal", false, "internal"},
}};

constexpr bool table_is_in_enum_order() {
  for (std::size_t i = 0; i < kTable.size(); ++i) {
    if (static_cast<std::size_t>(kTable[i].kind) != i) return false;
  }
  return kTable.size() == static_cast<std::size_t>(kInternal) + 1;
}
static_assert(table_is_in_enum_order());

}  // namespace

std::span<const ErrorInfo> error_table() { return kTable; }

const ErrorInfo& error_info(ErrorKind kind) { return kTable[static_cast<std::size_t>(kind)]; }

int Error::http_status() const {
  if (kind == kUpstreamStatus && upstream_status >= 400 && upstream_status < 600) return upstream_status;
  return error_info(kind).http_status;
}

}  // namespace understudy
