#include "app/config_encoder.h"

#include <algorithm>

#include "specialists/registry.h"

namespace understudy::app {
namespace {

bool has_use(const cascade::Policy& policy) {
  const auto uses = [](const cascade::CascadeConfig& c) { return c.learns() || c.few_shots.k != 0; };
  const auto shows = [](const cascade::TaskConfig& t) { return t.few_shots.value_or(0) != 0; };
  return std::any_of(policy.cascades.begin(), policy.cascades.end(), uses) || std::any_of(policy.tasks.begin(), policy.tasks.end(), shows) ||
         policy.registry().wants_encoder();
}

}  // namespace

std::optional<neural::EncoderOptions> wanted_encoder(const Config& config) {
  const cascade::Policy& policy = *config.snapshot.policy;
  if (config.encoder == "off" || (config.encoder == "auto" && !has_use(policy))) return std::nullopt;
  neural::EncoderOptions options;
  // In the precision that specialists were calibrated with: another one would have to be calibrated anew at each start.
  for (const auto& specialist : policy.registry().all()) {
    const auto& own = specialist->encoder();
    if (!own) continue;
    options.precision = neural::parse_precision(own->precision).value_or(options.precision);
    break;
  }
  if (config.encoder != "auto" && config.encoder != "on") options.folder = config.encoder;
  return options;
}

}  // namespace understudy::app
