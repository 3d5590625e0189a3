#pragma once
#include <memory>

#include "net/reactor.h"
#include "providers/provider.h"
#include "providers/recording.h"

namespace understudy::providers {

/// Answers from a recording, in process, with its latency times `latency_scale`. A text that was not recorded gets status
/// 404 and an error that names it.
std::unique_ptr<Provider> make_recorded_provider(net::Reactor& reactor, std::shared_ptr<const Recording> recording, std::string model,
                                                 double latency_scale = 1.0);

/// What both the recorded provider and `understudy replay` answer to a request body.
struct RecordedReply {
  int status = 200;
  std::string body;                  ///< plain
  std::vector<std::string> events;   ///< streamed; empty for a plain reply
  std::int64_t latency_ms = 0;
};
RecordedReply answer_from(const Recording& recording, std::string_view request_body, std::string_view model, std::int64_t created);

}  // namespace understudy::providers
