#include "neural/internal/open_network.h"

#include <array>

#include <fmt/format.h>

#include "base/assert.h"
#include "neural/internal/load_runtime.h"

namespace understudy::neural::internal {
namespace {

std::string settings_of(const ModelConfig& config) {
  constexpr std::array<std::string_view, 3> kActivations = {"gelu", "gelu_tanh", "relu"};
  return fmt::format("hidden {}, {} layers of {} heads, {}, epsilon {}, {}, {}{}{}, {} tokens{}", config.hidden, config.layers, config.heads,
                     kActivations[static_cast<std::size_t>(config.activation)], config.norm_epsilon,
                     config.pooling == Pooling::kMean ? "mean" : "first token", config.tokenizer.lowercase ? "lower case" : "cased",
                     config.tokenizer.strip_accents ? ", no accents" : "", config.tokenizer.split_han ? ", Han alone" : "", config.max_tokens,
                     config.pair_tokens > 0 ? fmt::format(", pairs of {}", config.pair_tokens) : "");
}

}  // namespace

Result<OpenNetwork> open_network(const EncoderOptions& options) {
  UNDERSTUDY_ASSERT(options.threads >= 1 && options.streams >= 1);
  std::filesystem::path path = options.folder;
  if (path.empty()) {
    const auto found = default_encoder_folder();
    if (!found) return fail(found.error());
    path = *found;
  }
  auto folder = open_model_folder(path);
  if (!folder) return fail(folder.error());
  const auto runtime = load_runtime();
  if (!runtime) return fail(runtime.error());
  const auto instructions = settle_instruction_set();
  if (!instructions) return fail(instructions.error());
  auto network = (*runtime)->compile((*folder)->network, {options.precision, options.threads, options.streams});
  if (!network) return fail(network.error());
  EncoderIdentity identity;
  identity.model = (*folder)->name;
  identity.weights_sha256 = (*folder)->weights_sha256;
  identity.tokenizer_sha256 = (*folder)->tokenizer_sha256;
  identity.settings = settings_of((*folder)->config);
  identity.precision = precision_name(options.precision);
  identity.instruction_set = instruction_set_name(*instructions);
  identity.runtime = (*runtime)->name;
  return OpenNetwork{std::move(*folder), std::move(*network), std::move(identity)};
}

}  // namespace understudy::neural::internal
