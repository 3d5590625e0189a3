#include "gateway/internal/callers.h"

#include <fmt/format.h>

#include "base/base64.h"
#include "net/http.h"
#include "net/url.h"

namespace understudy::gateway::internal {
namespace {

constexpr std::string_view kNoKey = "No API key was given: send it as 'Authorization: Bearer KEY' or 'x-api-key: KEY'.";
constexpr std::string_view kUnknownKey = "This API key is not known here: check [[keys]] in the gateway's configuration.";

std::string_view presented_key(const net::RequestHead& head) {
  if (const auto authorization = head.find("authorization")) {
    std::string_view value = *authorization;
    if (value.size() > 7 && net::equals_ignore_case(value.substr(0, 7), "bearer ")) value.remove_prefix(7);
    return value;
  }
  return head.find("x-api-key").value_or("");
}

/// The password of "Basic BASE64(NAME:PASSWORD)", as browsers send it; "" where it is none.
std::string basic_password(std::string_view authorization) {
  if (authorization.size() < 7 || !net::equals_ignore_case(authorization.substr(0, 6), "basic ")) return {};
  const auto text = from_base64(authorization.substr(6));
  const std::size_t colon = text ? text->find(':') : std::string::npos;
  return colon == std::string::npos ? std::string{} : text->substr(colon + 1);
}

/// The host of a Host field, without its port.
std::string_view without_port(std::string_view host) {
  const std::size_t colon = host.rfind(':');
  return colon == std::string_view::npos || host.find(']', colon) != std::string_view::npos ? host : host.substr(0, colon);
}

}  // namespace

Result<Caller> authenticate(const net::RequestHead& head, const KeyRing& keys, const Clock& clock) {
  Caller caller;
  caller.presented = presented_key(head);
  const auto named_tenant = head.find("x-understudy-tenant");
  if (keys.open()) {
    caller.tenant = named_tenant.value_or("");
    return caller;
  }
  if (caller.presented.empty()) return fail(ErrorKind::kUnauthorized, std::string(kNoKey));
  caller.key = keys.find(caller.presented, clock);
  if (caller.key == nullptr) return fail(ErrorKind::kUnauthorized, std::string(kUnknownKey));
  if (!caller.key->inference) return fail(ErrorKind::kForbidden, fmt::format("The key '{}' lacks the scope 'inference'.", caller.key->name));
  caller.tenant = caller.key->tenant;
  if (named_tenant) {
    if (!caller.key->trusted) {
      return fail(ErrorKind::kForbidden, fmt::format("The key '{}' may not name a tenant: set trusted = true for it, or leave x-understudy-tenant out.", caller.key->name));
    }
    caller.tenant = *named_tenant;
  }
  return caller;
}

Result<void> authenticate_operator(const net::Exchange& exchange, const KeyRing& keys, const Clock& clock, OperatorScope scope) {
  if (keys.open()) {
    // The host as well: a page in a browser on this machine reaches loopback under a name of its own (DNS rebinding).
    const std::string_view host = without_port(exchange.head().find("host").value_or(""));
    if (net::is_loopback_host(exchange.peer()) && net::is_loopback_host(host)) return {};
    return fail(ErrorKind::kForbidden, "Without keys, admin routes answer only callers on the gateway's own machine: configure a key with the scope 'admin'.");
  }
  std::string presented = basic_password(exchange.head().find("authorization").value_or(""));
  if (presented.empty()) presented = presented_key(exchange.head());
  if (presented.empty()) return fail(ErrorKind::kUnauthorized, std::string(kNoKey));
  const ApiKey* key = keys.find(presented, clock);
  if (key == nullptr) return fail(ErrorKind::kUnauthorized, std::string(kUnknownKey));
  if (key->admin || (key->audit && scope == OperatorScope::kAudit)) return {};
  return fail(ErrorKind::kForbidden, fmt::format("The key '{}' lacks the scope {}.", key->name, scope == OperatorScope::kAudit ? "'audit' (or 'admin')" : "'admin'"));
}

}  // namespace understudy::gateway::internal
