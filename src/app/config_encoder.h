#pragma once
/// Which sentence encoder a configuration asks for.

#include <optional>

#include "app/config.h"
#include "neural/encoder.h"

namespace understudy::app {

/// nullopt: none, because [server] encoder is "off", or "auto" and nothing would use it (stages that learn, specialists that read vectors,
/// lessons shown to a student).
std::optional<neural::EncoderOptions> wanted_encoder(const Config& config);

}  // namespace understudy::app
