// Whatever the bytes are, a weights file is read or refused with a message; what is read lies inside the bytes, each byte once.
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "neural/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace understudy::neural;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto parsed = Safetensors::parse(bytes, "fuzz");
  if (!parsed) {
    if (parsed.error().message.empty()) std::abort();
    return 0;
  }
  std::size_t total = 0;
  for (const Tensor& tensor : parsed->tensors()) {
    total += tensor.bytes.size();
    if (parsed->find(tensor.name) != &tensor) std::abort();
    std::vector<float> store;
    const auto values = as_floats(tensor, store);
    if (values && values->size() != tensor.count()) std::abort();
  }
  if (total > size) std::abort();
  return 0;
}
