#include "audit/fuzz/adapter_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return understudy::audit::fuzz_adapter(understudy::audit::Format::kOpenAiUsage, data, size);
}
