#include "net/url.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cstring>

namespace understudy::net {
namespace {

TEST(Url, IsTakenApart) {
  auto url = parse_url("HTTPS://API.Example.com/v1/?api-version=2024-10-21");
  ASSERT_TRUE(url) << url.error().message;
  EXPECT_TRUE(url->tls);
  EXPECT_EQ(url->host, "api.example.com");
  EXPECT_EQ(url->port, 443);
  EXPECT_EQ(url->base_path, "/v1");
  EXPECT_EQ(url->query, "api-version=2024-10-21");
  EXPECT_EQ(url->authority(), "api.example.com");
  EXPECT_EQ(url->origin(), "https://api.example.com:443");
}

TEST(Url, KnowsPortsAndIpv6) {
  auto url = parse_url("http://[::1]:8081/v1");
  ASSERT_TRUE(url) << url.error().message;
  EXPECT_EQ(url->host, "::1");
  EXPECT_EQ(url->port, 8081);
  EXPECT_EQ(url->authority(), "[::1]:8081");
  EXPECT_EQ(parse_url("http://localhost")->port, 80);
  EXPECT_EQ(parse_url("http://localhost/")->base_path, "");
  EXPECT_EQ(parse_url("http://127.0.0.1:1")->authority(), "127.0.0.1:1");
  EXPECT_EQ(parse_url("http://h:80")->authority(), "h");
}

TEST(Url, RefusesWhatAnUpstreamMustNotBe) {
  const char* const rows[] = {
      "", "example.com", "ftp://example.com", "http:/example.com", "http://", "https:///v1", "http://user@example.com",
      "http://user:secret@example.com", "http://user:secret w@example.com/#x", "http://example.com/#frag", "http://example.com:0",
      "http://example.com:65536",
      "http://example.com:", "http://example.com:8a", "http://exa mple.com", "http://example.com/a b", "http://ex\xC3\xA4mple.com",
      "http://[::1", "http://[::1]x", "http://[zz]", "http://-x", "http://a_b!c", "http://169.254.169.254/latest",
      "http://[fe80::1]", "http://[::ffff:169.254.169.254]", "http://[fd00:ec2::254]", "http://100.100.100.200",
  };
  for (const char* row : rows) {
    auto url = parse_url(row);
    ASSERT_FALSE(url) << row;
    EXPECT_EQ(url.error().kind, ErrorKind::kConfig) << row;
    EXPECT_EQ(url.error().message.find("secret"), std::string::npos) << url.error().message;
  }
}

TEST(Url, KnowsWhatCanOnlyMeanThisMachine) {
  for (const char* local : {"localhost", "LocalHost", "127.0.0.1", "127.1.2.3", "::1", "[::1]", "::ffff:127.0.0.1"}) EXPECT_TRUE(is_loopback_host(local)) << local;
  for (const char* other : {"", "0.0.0.0", "10.127.0.1", "127.example.com", "localhost.example.com", "::", "[::]", "::ffff:10.0.0.1"}) {
    EXPECT_FALSE(is_loopback_host(other)) << other;
  }
}

bool forbidden(const char* text) {
  sockaddr_storage storage{};
  auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
  auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
  if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
  } else {
    EXPECT_EQ(inet_pton(AF_INET6, text, &v6.sin6_addr), 1) << text;
    v6.sin6_family = AF_INET6;
  }
  return is_forbidden_address(reinterpret_cast<const sockaddr*>(&storage));
}

TEST(Address, LinkLocalAndMetadataAreForbiddenAndOthersAreNot) {
  for (const char* bad : {"169.254.169.254", "169.254.0.1", "fe80::1", "febf::1", "::ffff:169.254.1.1", "64:ff9b::169.254.169.254",
                          "fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "224.0.0.1", "ff02::1"}) {
    EXPECT_TRUE(forbidden(bad)) << bad;
  }
  for (const char* good : {"127.0.0.1", "10.0.0.1", "192.168.1.1", "8.8.8.8", "169.253.255.255", "169.255.0.1", "::1", "fec0::1",
                           "2001:db8::1", "::ffff:10.0.0.1", "fd00::1", "0.0.0.0"}) {
    EXPECT_FALSE(forbidden(good)) << good;
  }
}

}  // namespace
}  // namespace understudy::net
