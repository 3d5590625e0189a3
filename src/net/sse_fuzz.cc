// The SSE splitter must give the same events however the bytes are cut; the first byte seeds the cuts.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "net/sse.h"

namespace {

using namespace understudy::net;

std::vector<std::string> split(std::string_view bytes, std::size_t step) {
  SseLimits limits;
  limits.event_bytes = 512;
  SseSplitter splitter(limits);
  std::vector<std::string> out;
  const auto note = [&](const SseEvent& e) {
    out.push_back(std::string(e.event) + "|" + std::string(e.id) + "|" + std::string(e.data) + "|" + std::string(e.raw));
  };
  for (std::size_t at = 0; at < bytes.size(); at += step) {
    const std::string piece(bytes.substr(at, step));
    splitter.feed(piece);
    for (;;) {
      auto event = splitter.next();
      if (!event) {
        out.push_back("error");
        return out;
      }
      if (!*event) break;
      note(**event);
    }
  }
  if (auto tail = splitter.finish()) note(*tail);
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto whole = split(bytes, bytes.size());
  if (split(bytes, 1) != whole || split(bytes, 1 + data[0] % 17) != whole) std::abort();
  return 0;
}
