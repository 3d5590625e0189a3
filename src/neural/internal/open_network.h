#pragma once
#include <memory>

#include "base/error.h"
#include "neural/encoder.h"
#include "neural/internal/runtime.h"
#include "neural/model_folder.h"

namespace understudy::neural::internal {

struct OpenNetwork {
  std::unique_ptr<const ModelFolder> folder;
  std::unique_ptr<Network> network;  ///< computes from the folder's memory: goes first
  EncoderIdentity identity;
};

/// What open_encoder and open_pair_scorer have in common; errors as open_encoder's.
Result<OpenNetwork> open_network(const EncoderOptions& options);

}  // namespace understudy::neural::internal
