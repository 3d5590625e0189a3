#include <cstdint>
#include <string_view>

#include "chat/price_book.h"

/// Any bytes as a price book: read or refused, and what is read prices any call without a trap.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace understudy;
  auto book = PriceBook::parse({reinterpret_cast<const char*>(data), size}, "fuzz");
  if (!book) return 0;
  for (const ModelPrices* model : book->models()) {
    const ModelPrices* found = book->find(model->provider, model->id);
    if (found == nullptr) continue;
    for (const std::int64_t us : {INT64_MIN, std::int64_t{0}, INT64_MAX}) {
      if (const auto prices = found->prices({us}, INT64_MAX, "batch")) {
        (void)prices->cost({.input = INT64_MAX, .cached_input = INT64_MAX, .output = INT64_MAX, .reasoning = 1}, INT64_MAX, INT64_MAX);
      }
    }
  }
  (void)book->find("aws.bedrock", "a/b//c");
  (void)book->representative(ModelTier::kSpecialist);
  return 0;
}
