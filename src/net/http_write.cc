#include <charconv>
#include <cstring>

#include "base/assert.h"
#include "net/http.h"
#include "net/internal/ascii.h"

namespace understudy::net {

std::string_view reason_phrase(int status) {
  switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 402: return "Payment Required";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 422: return "Unprocessable Content";
    case 425: return "Too Early";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 499: return "Client Closed Request";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return "Unknown";
  }
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
#ifndef NDEBUG
  UNDERSTUDY_ASSERT(is_token(name));  // names are our own or were parsed; values may be anything
#endif
  const std::size_t before = out.size();
  const std::size_t after = before + name.size() + value.size() + 4;
  out.resize_and_overwrite(after, [&](char* data, std::size_t) {
    char* p = data + before;
    std::memcpy(p, name.data(), name.size());
    p += name.size();
    *p++ = ':';
    *p++ = ' ';
    if (!value.empty()) std::memcpy(p, value.data(), value.size());
    p += value.size();
    *p++ = '\r';
    *p = '\n';
    return after;
  });
  if (!internal::is_field_value(value)) [[unlikely]] {
    for (std::size_t i = after - 2 - value.size(); i < after - 2; ++i) {
      if (!internal::is_field_value({&out[i], 1})) out[i] = ' ';
    }
  }
}

void append_status_line(std::string& out, int status) {
  UNDERSTUDY_ASSERT(status >= 100 && status <= 599);
  if (status == 200) {
    out.append("HTTP/1.1 200 OK\r\n");
    return;
  }
  out.append("HTTP/1.1 ");
  out.push_back(static_cast<char>('0' + status / 100));
  out.push_back(static_cast<char>('0' + status / 10 % 10));
  out.push_back(static_cast<char>('0' + status % 10));
  out.push_back(' ');
  out.append(reason_phrase(status));
  out.append("\r\n");
}

void append_request_line(std::string& out, std::string_view method, std::string_view target) {
  UNDERSTUDY_ASSERT(is_token(method));
  out.append(method);
  out.push_back(' ');
  if (!target.starts_with('/') && target != "*") out.push_back('/');
  if (internal::is_target(target)) {
    out.append(target);
  } else {
    static constexpr char kHex[] = "0123456789ABCDEF";
    for (const char c : target) {
      if (internal::is_target({&c, 1})) {
        out.push_back(c);
      } else {
        out.push_back('%');
        out.push_back(kHex[static_cast<std::uint8_t>(c) >> 4]);
        out.push_back(kHex[static_cast<std::uint8_t>(c) & 15]);
      }
    }
  }
  out.append(" HTTP/1.1\r\n");
}

std::size_t format_chunk_size(std::span<char> out, std::uint64_t size) {
  UNDERSTUDY_ASSERT(out.size() >= 18);
  char* end = std::to_chars(out.data(), out.data() + out.size() - 2, size, 16).ptr;
  *end++ = '\r';
  *end++ = '\n';
  return static_cast<std::size_t>(end - out.data());
}

}  // namespace understudy::net
