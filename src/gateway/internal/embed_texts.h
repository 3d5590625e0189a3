#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "net/cancel.h"
#include "net/reactor.h"
#include "net/task.h"
#include "neural/encoder_pool.h"

namespace understudy::gateway::internal {

/// Whether a model's name means our own encoder: "understudy/encoder", or its folder's name.
bool names_encoder(const neural::EncoderPool* pool, std::string_view model);

/// A request for our own encoder where there is none: what to do.
Error no_encoder(std::string_view asked_for);

/// Vectors of all texts, row by row, computed on the pool's threads in batches with the texts of others, while the reactor serves on.
/// kOverloaded: too much waits already; kInternal: the runtime failed; kCancelled: the client left.
net::Task<std::vector<float>> embed_texts(neural::EncoderPool& pool, const std::vector<std::string>& texts, net::Reactor& reactor, net::CancelToken gone);

}  // namespace understudy::gateway::internal
