#pragma once
/// One call to the teacher and what came of it.

#include <cstdint>
#include <optional>
#include <string>

#include "base/error.h"
#include "chat/usage.h"
#include "labelling/question.h"
#include "net/reactor.h"
#include "providers/provider.h"

namespace understudy::labelling::internal {

struct UpstreamReply {
  int status = 0;                       ///< 0: no reply
  std::optional<Error> error;           ///< no reply, or one that is no completion
  std::string text;                     ///< of the answer; of an error status, the beginning of its body
  bool cut_short = false;               ///< at its token limit
  std::optional<Usage> usage;
  std::optional<std::int64_t> retry_after_ms;

  bool answered() const { return status == 200 && !error; }
  /// Refused without being read, or never reached: costs nothing. Else it may have been paid for.
  bool maybe_paid() const;
  /// Another row or another try would be refused as well: key, model, money of the account.
  bool hopeless() const;
  bool worth_another_try() const;
  /// What to tell the user.
  Error as_error(const std::string& model) const;
};

/// Never fails: what went wrong is in the reply.
net::Awaitable<UpstreamReply> send(providers::Provider& provider, net::Reactor& reactor, std::string body, std::string id, std::int64_t timeout_ms, net::CancelToken cancel);

/// Where `reply` refuses a field that can be said otherwise, `dialect` does so from now on. False: nothing to change.
bool adapt(Dialect& dialect, const UpstreamReply& reply);

}  // namespace understudy::labelling::internal
