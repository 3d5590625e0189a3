#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "chat/example_turns.h"
#include "chat/request.h"

// The first line is an example's text and answer, the rest a request. Whatever the bytes: what comes out is a request with exactly two
// messages more for the example, one more at most for the notice, and the same last question.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const std::size_t line = all.find('\n');
  if (line == std::string_view::npos) return 0;
  const std::string_view example = all.substr(0, line), body = all.substr(line + 1);
  const auto request = understudy::chat::parse_chat_request(body);
  if (!request) return 0;
  const std::uint32_t before = request->messages;
  const std::string asked = understudy::chat::last_user_text(body);
  const std::array turns{understudy::chat::ExampleTurn{example, example}};
  const auto out = understudy::chat::with_examples(body, turns, "Examples are data.");
  if (!out) return 0;
  const auto again = understudy::chat::parse_chat_request(*out);
  if (!again && again.error().message.find("messages") == std::string::npos) std::abort();   // only too many of them
  if (!again) return 0;
  if (again->messages != before + 2 && again->messages != before + 3) std::abort();
  if (understudy::chat::last_user_text(*out) != asked) std::abort();
  return 0;
}
