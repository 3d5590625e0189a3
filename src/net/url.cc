#include "net/url.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "net/http.h"
#include "net/internal/ascii.h"

namespace understudy::net {
namespace {

Unexpected bad(std::string_view url, std::string_view why) {
  return fail(ErrorKind::kConfig, "upstream URL \"" + internal::printable(url) + "\": " + std::string(why));
}

bool is_host_name(std::string_view host) {
  if (host.empty() || host.size() > 253 || host.front() == '-' || host.front() == '.') return false;
  return std::all_of(host.begin(), host.end(), [](char c) {
    return internal::is_digit(c) || (c >= 'a' && c <= 'z') || c == '-' || c == '.' || c == '_';
  });
}

/// IPv4 in host byte order.
bool is_forbidden_v4(std::uint32_t a) {
  constexpr std::array<std::uint32_t, 3> kMetadata = {
      (100u << 24) | (100u << 16) | (100u << 8) | 200u,  // Alibaba Cloud
      (168u << 24) | (63u << 16) | (129u << 8) | 16u,    // Azure's host agent
      (192u << 24) | 192u,                               // Oracle Cloud
  };
  return (a >> 16) == ((169u << 8) | 254u) || (a >> 28) == 14u ||
         std::find(kMetadata.begin(), kMetadata.end(), a) != kMetadata.end();
}

bool is_forbidden_v6(const std::uint8_t* a) {
  if (a[0] == 0xfe && (a[1] & 0xc0) == 0x80) return true;
  if (a[0] == 0xff) return true;
  static constexpr std::array<std::uint8_t, 16> kAws = {0xfd, 0, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54};
  if (std::memcmp(a, kAws.data(), kAws.size()) == 0) return true;
  static constexpr std::array<std::array<std::uint8_t, 12>, 2> kHoldsV4 = {{
      {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff},      // IPv4-mapped
      {0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0},   // NAT64
  }};
  for (const auto& prefix : kHoldsV4) {
    if (std::memcmp(a, prefix.data(), prefix.size()) != 0) continue;
    return is_forbidden_v4((std::uint32_t{a[12]} << 24) | (std::uint32_t{a[13]} << 16) | (std::uint32_t{a[14]} << 8) | a[15]);
  }
  return false;
}

bool is_forbidden_literal(const std::string& host) {
  in_addr v4{};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return is_forbidden_v4(ntohl(v4.s_addr));
  in6_addr v6{};
  if (inet_pton(AF_INET6, host.c_str(), &v6) == 1) return is_forbidden_v6(v6.s6_addr);
  return false;
}

}  // namespace

bool is_forbidden_address(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, address, sizeof v4);
    return is_forbidden_v4(ntohl(v4.sin_addr.s_addr));
  }
  if (address->sa_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, address, sizeof v6);
    return is_forbidden_v6(v6.sin6_addr.s6_addr);
  }
  return true;
}

bool is_loopback_host(std::string_view host) {
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (equals_ignore_case(host, "localhost") || host == "::1") return true;
  if (host.starts_with("::ffff:")) host.remove_prefix(7);
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos;
}

Result<Url> parse_url(std::string_view text) {
  Url url;
  std::string_view rest = text;
  if (rest.size() >= 7 && equals_ignore_case(rest.substr(0, 7), "http://")) {
    rest.remove_prefix(7);
  } else if (rest.size() >= 8 && equals_ignore_case(rest.substr(0, 8), "https://")) {
    url.tls = true;
    rest.remove_prefix(8);
  } else {
    return bad(text, "must start with http:// or https://");
  }
  const std::size_t authority_end = std::min(rest.find_first_of("/?#"), rest.size());
  std::string_view authority = rest.substr(0, authority_end);
  if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) {  // first: no message may print it
    return bad(authority.substr(at), "must not hold a user or password; name the key's variable in key_env");
  }
  if (rest.find('#') != std::string_view::npos) return bad(text, "must not hold a fragment (#...)");
  if (!internal::is_target(rest)) return bad(text, "holds white space, control or non-ASCII bytes; percent-encode them");
  rest.remove_prefix(authority_end);

  std::string_view port_text;
  bool has_port = false;
  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    if (close == std::string_view::npos) return bad(text, "the IPv6 address has no closing bracket");
    url.host = authority.substr(1, close - 1);
    in6_addr v6{};
    if (inet_pton(AF_INET6, url.host.c_str(), &v6) != 1) return bad(text, "not an IPv6 address in the brackets");
    authority.remove_prefix(close + 1);
    if (!authority.empty()) {
      if (authority.front() != ':') return bad(text, "bytes after the IPv6 address");
      has_port = true;
      port_text = authority.substr(1);
    }
  } else {
    const std::size_t colon = authority.find(':');
    url.host = authority.substr(0, colon);
    if (colon != std::string_view::npos) {
      has_port = true;
      port_text = authority.substr(colon + 1);
    }
    for (char& c : url.host) c = internal::lower(c);
    if (url.host.empty()) return bad(text, "names no host");
    if (!is_host_name(url.host)) return bad(text, "the host is neither a name nor an address");
  }
  for (char& c : url.host) c = internal::lower(c);
  if (is_forbidden_literal(url.host)) return bad(text, "link-local and metadata addresses are refused");

  url.port = url.tls ? 443 : 80;
  if (has_port) {
    unsigned port = 0;
    const auto [end, error] = std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
    if (error != std::errc() || end != port_text.data() + port_text.size() || port == 0 || port > 65535) {
      return bad(text, "the port must be a number from 1 to 65535");
    }
    url.port = static_cast<std::uint16_t>(port);
  }

  const std::size_t question = rest.find('?');
  std::string_view path = rest.substr(0, question);
  while (path.ends_with('/')) path.remove_suffix(1);
  url.base_path = path;
  if (question != std::string_view::npos) url.query = rest.substr(question + 1);
  return url;
}

std::string Url::authority() const {
  const bool v6 = host.find(':') != std::string::npos;
  std::string out = v6 ? "[" + host + "]" : host;
  if (port != (tls ? 443 : 80)) out += ":" + std::to_string(port);
  return out;
}

std::string Url::origin() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (tls ? "https://" : "http://") + (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

}  // namespace understudy::net
