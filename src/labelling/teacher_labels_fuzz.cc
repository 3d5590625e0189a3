// Whatever the bytes are: a label file is read or refused with a message; a teacher's reply gives verdicts in range, one a row at most, or says why not.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "labelling/label_file.h"
#include "labelling/question.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace understudy::labelling;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto file = parse_labels(text, "fuzz");
  if (!file && file.error().message.empty()) std::abort();
  if (file && (file->spent.value < 0 || file->whole_bytes > size)) std::abort();
  for (const Task task : {Task::kIntent, Task::kRelevance, Task::kFaithfulness, Task::kScore, Task::kPreference}) {
    const Question question{task, {"refund", "card_arrival"}};
    const auto reply = parse_reply(question, 3, text);
    if (!reply) {
      if (reply.error().message.empty()) std::abort();
      continue;
    }
    if (reply->verdicts.size() != 3) std::abort();
    for (const auto& verdict : reply->verdicts) {
      if (!verdict && reply->why.empty()) std::abort();
      if (verdict && (!(verdict->confidence >= 0 && verdict->confidence <= 1) || !(verdict->score >= 0 && verdict->score <= 10))) std::abort();
    }
  }
  return 0;
}
