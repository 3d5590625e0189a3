// Whatever the bytes are, an identity is read or refused with a message; what is read is written and read back the same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "neural/encoder_identity.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using understudy::neural::EncoderIdentity;
  const auto identity = EncoderIdentity::from_json(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!identity) {
    if (identity.error().message.empty()) std::abort();
    return 0;
  }
  const auto again = EncoderIdentity::from_json(identity->to_json());
  if (!again || *again != *identity || again->key() != identity->key()) std::abort();
  return 0;
}
