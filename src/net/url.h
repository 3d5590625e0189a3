#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

struct sockaddr;

namespace understudy::net {

/// An upstream's http or https URL, taken apart.
struct Url {
  bool tls = false;
  std::string host;           ///< lower case; an IPv6 address without its brackets
  std::uint16_t port = 0;     ///< as written, else 80 or 443
  std::string base_path;      ///< "" or "/v1": no slash at the end
  std::string query;          ///< after '?', "" where none (Azure's api-version)

  /// For the Host field: brackets around IPv6, the port only where it is not the scheme's own.
  std::string authority() const;
  /// "https://host:port", for messages.
  std::string origin() const;
  friend bool operator==(const Url&, const Url&) = default;
};

/// kConfig with the reason: another scheme, user information, a fragment, no host, a bad port, white space or control
/// bytes, a host that is neither a name nor an address, or a literal address that `is_forbidden_address` refuses.
Result<Url> parse_url(std::string_view text);

/// True for link-local addresses (169.254.0.0/16, fe80::/10, also as IPv4-mapped IPv6), where cloud metadata services
/// live, and for the unspecified and multicast ones. The client checks each address after resolution.
bool is_forbidden_address(const sockaddr* address);

}  // namespace understudy::net
