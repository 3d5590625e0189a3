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

/// True for names and addresses that can only mean this machine: localhost, 127.0.0.0/8, ::1 (with or without brackets), also as
/// an IPv4 address inside an IPv6 one. Not for "127.example.com": a name is what its owner makes of it.
bool is_loopback_host(std::string_view host);

/// True for addresses where metadata services of clouds live: link-local ones (169.254.0.0/16, fe80::/10) and the fixed
/// ones of providers (fd00:ec2::254, 100.100.100.200, 168.63.129.16, 192.0.0.192), also when an IPv4 address is written
/// inside an IPv6 one; and for multicast. The client checks every address after resolution.
bool is_forbidden_address(const sockaddr* address);

}  // namespace understudy::net
