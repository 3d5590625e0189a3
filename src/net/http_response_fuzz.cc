// The response side, and URLs: parsed heads keep their promises, whole or cut.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "net/http.h"
#include "net/url.h"

using namespace understudy::net;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  HeadLimits limits;
  limits.bytes = 4096;
  limits.fields = 32;

  HeadScanner stepwise;
  HeadScanner at_once;
  understudy::Result<std::optional<std::size_t>> stepped = std::optional<std::size_t>();
  for (std::size_t n = 0; n <= bytes.size() && stepped && !*stepped; ++n) stepped = stepwise.scan(bytes.substr(0, n), limits);
  const auto whole = at_once.scan(bytes, limits);
  if (whole.has_value() != stepped.has_value() || (whole && *whole != *stepped)) std::abort();

  ResponseHead head;
  const bool to_head = (data[0] & 1) != 0;
  if (whole && *whole && parse_response_head(bytes.substr(0, **whole), to_head, head, limits)) {
    if (head.status < 100 || head.status > 599) std::abort();
    if (to_head && head.framing != BodyFraming::kNone) std::abort();
    if (head.framing == BodyFraming::kUntilClose && head.keep_alive) std::abort();
  }
  if (auto url = parse_url(bytes)) {
    // What a URL prints for the Host field must parse to the same place again.
    auto again = parse_url((url->tls ? "https://" : "http://") + url->authority());
    if (!again || again->host != url->host || again->port != url->port) std::abort();
  }
  return 0;
}
