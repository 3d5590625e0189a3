// Whatever the bytes are, reading outcome lines gives rows or an error with a message.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "evaluation/outcomes.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace understudy::evaluation;
  const auto outcomes = parse_outcomes({reinterpret_cast<const char*>(data), size}, "fuzz");
  if (!outcomes) {
    if (outcomes.error().message.empty()) std::abort();
    return 0;
  }
  if (outcomes->rows.empty() || outcomes->rows.size() != outcomes->truth.size()) std::abort();
  for (const Visible& row : outcomes->rows) {
    if (row.id.empty() || (row.weak_logprob && !(*row.weak_logprob >= -50 && *row.weak_logprob <= 0))) std::abort();
  }
  return 0;
}
