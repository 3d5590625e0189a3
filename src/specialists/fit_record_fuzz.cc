// The file of a learned fit: read or refused, and what is read is written again byte by byte.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/hash.h"
#include "specialists/text_learner.h"

namespace {

void read(std::string_view bytes) {
  const auto record = understudy::specialists::parse_fit_record(bytes);
  if (record ? understudy::specialists::fit_record_bytes(*record) != bytes : record.error().message.empty()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  read(bytes);
  // The checksum guards the rest, so it is put right as well.
  if (size < 4) return 0;
  std::string sealed(bytes.substr(0, size - 4));
  const std::uint32_t sum = understudy::crc32c(sealed);
  sealed.append(reinterpret_cast<const char*>(&sum), sizeof sum);
  read(sealed);
  return 0;
}
