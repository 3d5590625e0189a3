// Each line of the input: what the fast plain reader takes, the slow one reads the same.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "audit/fuzz/plain_oracle.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  understudy::audit::CallRecord record;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string line(text.substr(0, end));
    const auto verdict = understudy::audit::compare_plain_readers(line, record);
    if (!verdict.disagreement.empty()) {
      std::fprintf(stderr, "%s\n%s\n", line.c_str(), verdict.disagreement.c_str());
      std::abort();
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return 0;
}
