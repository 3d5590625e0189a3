#pragma once
#include "providers/provider.h"

namespace understudy::providers {

/// One short call with logprobs asked: what kind of logprobs does this model's server give? kUnknown where it could not be
/// found out (unreachable, an error status other than one that refuses logprobs).
struct ProbeResult {
  LogprobSupport support = LogprobSupport::kUnknown;
  int status = 0;             ///< 0: no reply
  std::string note;           ///< what went wrong, for the log and `doctor`
};
net::Awaitable<ProbeResult> probe_logprobs(Provider& provider, std::string upstream_model, int top_logprobs, net::Deadline deadline, net::CancelToken cancel = {});

}  // namespace understudy::providers
