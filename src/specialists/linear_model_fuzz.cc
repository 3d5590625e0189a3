// Whatever the bytes are, a model file loads or is refused with a message; what loads answers, and saves to what loads the same again.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "specialists/linear_model.h"

namespace {

using understudy::specialists::LinearModel;

void load(std::string_view bytes) {
  const auto model = LinearModel::load(bytes);
  if (!model) {
    if (model.error().message.empty()) std::abort();
    return;
  }
  const auto guess = model->guess("where is my card \xff");
  if (!model->labels().empty() && (guess.ranked == 0 || !(guess.probability >= 0 && guess.probability <= 1.001f))) std::abort();
  const std::string again = model->save();
  if (again != bytes) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  load(bytes);
  // The same with a right checksum, without which no change would get past it.
  if (bytes.size() >= 4) {
    const std::uint32_t checksum = understudy::crc32c(std::string_view(bytes).substr(0, bytes.size() - 4));
    std::memcpy(bytes.data() + bytes.size() - 4, &checksum, 4);
    load(bytes);
  }
  return 0;
}
