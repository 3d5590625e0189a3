// Whatever the bytes of a model folder's JSON files are (parts end at NUL bytes; the last is tokenizer.json), they are understood within limits or refused with a message.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "neural/model_folder.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace understudy::neural;
  std::string_view rest(reinterpret_cast<const char*>(data), size), parts[6];
  for (auto& part : parts) {
    part = rest.substr(0, rest.find('\0'));
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
  }
  const auto pieces = vocabulary_of(parts[5], "fuzz");
  if (!pieces && pieces.error().message.empty()) std::abort();
  const auto config = parse_model_config({parts[0], parts[1], parts[2], parts[3], parts[4]}, "fuzz");
  if (!config) {
    if (config.error().message.empty()) std::abort();
    return 0;
  }
  if (config->heads == 0 || config->hidden % config->heads != 0 || config->max_tokens < 4 || config->max_tokens > config->max_positions || config->types < 2 || config->pair_tokens > config->max_positions || config->pair_width > kMostPairWidth) std::abort();
  return 0;
}
