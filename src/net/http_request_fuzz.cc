// The request side: finding a head's end, parsing it, taking chunked framing off. The same bytes are fed whole and cut
// in two at a place that the input chooses; both must give the same.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "net/http.h"

namespace {

using namespace understudy::net;

struct Outcome {
  int kind = -1;  // of the error; -1: none
  std::size_t head = 0;
  std::string method, path;
  std::string body;
  bool done = false;
  bool operator==(const Outcome&) const = default;
};

Outcome run(std::string_view bytes, std::size_t cut) {
  Outcome out;
  HeadLimits limits;
  limits.bytes = 4096;
  limits.fields = 32;
  HeadScanner scanner;
  understudy::Result<std::optional<std::size_t>> size = scanner.scan(bytes.substr(0, cut), limits);
  if (size && !*size) size = scanner.scan(bytes, limits);
  if (!size) {
    out.kind = static_cast<int>(size.error().kind);
    return out;
  }
  if (!*size) return out;
  out.head = **size;
  RequestHead head;
  auto parsed = parse_request_head(bytes.substr(0, out.head), head, limits);
  if (!parsed) {
    out.kind = static_cast<int>(parsed.error().kind);
    return out;
  }
  if (head.chunked && head.content_length) std::abort();
  for (const Field& field : head.fields) {
    if (!is_token(field.name) || field.value.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos) std::abort();
  }
  out.method = head.method;
  out.path = head.path;
  if (!head.chunked) return out;

  ChunkedDecoder decoder;
  const std::size_t middle = cut > out.head ? cut : out.head;
  for (std::string_view piece : {bytes.substr(out.head, middle - out.head), bytes.substr(middle)}) {
    for (;;) {
      auto slice = decoder.next(piece);
      if (!slice) {
        out.kind = static_cast<int>(slice.error().kind);
        out.body.clear();  // how much came before the error depends on the cut
        return out;
      }
      if (!*slice) break;
      out.body.append(**slice);
    }
  }
  out.done = decoder.done();
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  const std::size_t cut = (static_cast<std::size_t>(data[0]) << 8 | data[1]) % (bytes.size() + 1);
  if (!(run(bytes, bytes.size()) == run(bytes, cut))) std::abort();
  return 0;
}
