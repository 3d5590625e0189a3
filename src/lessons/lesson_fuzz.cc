// Stored lessons and teachers' replies: any bytes are read or refused, and what was read is written the same again.
#include <cstdint>
#include <cstdlib>

#include "lessons/lesson.h"
#include "lessons/teaching.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto lesson = understudy::lessons::parse_lesson(text)) {
    const std::string once = understudy::lessons::lesson_json(*lesson);
    const auto again = understudy::lessons::parse_lesson(once);
    if (!again || understudy::lessons::lesson_json(*again) != once) std::abort();
  }
  if (const auto reply = understudy::lessons::parse_teaching(text)) {
    if (reply->reasoning.empty() || reply->examples.empty() || reply->examples.size() > 3 || reply->parts.empty()) std::abort();
  }
  return 0;
}
