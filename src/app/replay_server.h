#pragma once
#include <memory>

#include "net/server.h"
#include "providers/recording.h"

namespace understudy::app {

struct ReplayOptions {
  std::string listen = "127.0.0.1:0";
  std::string model;              ///< name in replies; "" for the recording's own
  double latency_scale = 1.0;     ///< 0: answer at once
  unsigned workers = 1;
};

/// POST /v1/chat/completions, GET /v1/models and /health from a recording. Errors as net::Server::create.
Result<std::unique_ptr<net::Server>> start_replay_server(ReplayOptions options, std::shared_ptr<const providers::Recording> recording);

}  // namespace understudy::app
