// Template, document and prompt, parted by zero bytes. A prompt that is written by a template out of the slots that it was read into reads the
// same again, or not at all.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "templates/slots.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace understudy::templates;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::size_t first = bytes.find('\0');
  if (first == std::string_view::npos) return 0;
  const std::size_t second = bytes.find('\0', first + 1);
  if (second == std::string_view::npos) return 0;
  const auto made = SlotTemplate::parse(bytes.substr(0, first), bytes.substr(first + 1, second - first - 1));
  if (!made) return 0;
  const std::string_view prompt = bytes.substr(second + 1);
  const auto slots = made->match(prompt);
  if (!slots) return 0;
  if (slots->documents.size() != slots->ids.size() || slots->documents.size() > kMostDocuments) std::abort();
  if (made->has("query") && slots->query.empty()) std::abort();
  if (made->has("documents") && slots->documents.empty()) std::abort();
  // White space around the prompt changes nothing.
  const auto again = made->match(" \n" + std::string(prompt) + "\t\n");
  if (!again || again->query != slots->query || again->claim != slots->claim || again->evidence != slots->evidence || again->documents != slots->documents || again->ids != slots->ids) std::abort();
  return 0;
}
