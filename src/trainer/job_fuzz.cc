// Whatever the bytes are, a job or a file of rows is read within limits or refused with a message; what was read reads back the same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "trainer/job.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace understudy::trainer;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto job = parse_job(text, "fuzz")) {
    const auto again = parse_job(job->to_json(), "fuzz");
    if (!again || again->to_json() != job->to_json()) std::abort();
  } else if (job.error().message.empty()) {
    std::abort();
  }
  const auto rows = parse_pair_rows(text, "fuzz");
  if (!rows) {
    if (rows.error().message.empty()) std::abort();
    return 0;
  }
  std::string out;
  for (const PairRow& row : *rows) append_pair_row(out, row);
  const auto again = parse_pair_rows(out, "fuzz");
  if (!again || again->size() != rows->size()) std::abort();
  return 0;
}
