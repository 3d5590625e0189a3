#pragma once
#include <memory>

#include "net/client.h"
#include "providers/provider.h"

namespace understudy::providers {

/// The provider for one model on the pool's reactor. Errors say which key of the model's configuration is wrong.
Result<std::unique_ptr<Provider>> make_provider(net::ClientPool& pool, const ModelConfig& model);

}  // namespace understudy::providers
