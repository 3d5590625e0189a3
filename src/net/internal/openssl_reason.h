#pragma once
#include <openssl/err.h>

#include <string>

namespace understudy::net::internal {

/// What the last failed call of OpenSSL on this thread complained of, for a message.
inline std::string openssl_reason() {
  const unsigned long code = ERR_peek_last_error();
  const char* reason = code != 0 ? ERR_reason_error_string(code) : nullptr;
  ERR_clear_error();
  return reason != nullptr ? reason : "unknown failure";
}

}  // namespace understudy::net::internal
