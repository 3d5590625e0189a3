// Packed terms: what is read is written again byte by byte.
#include <cstdlib>

#include "retrieval/hashed_text.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  understudy::retrieval::Terms terms;
  if (understudy::retrieval::unpack_terms(bytes, terms) && understudy::retrieval::pack_terms(terms) != bytes) std::abort();
  return 0;
}
