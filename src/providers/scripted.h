#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/reactor.h"
#include "providers/provider.h"

namespace understudy::providers {

/// What a scripted upstream does for one call.
struct ScriptedAnswer {
  std::optional<Error> error;          ///< no reply at all
  int status = 200;
  std::string body;                    ///< plain reply
  std::vector<std::string> events;     ///< streamed reply ("data: ...\n\n" each); used instead of body where not empty
  std::int64_t delay_ms = 0;           ///< before the reply
  std::int64_t pause_ms = 0;           ///< before each event
};

/// Decides from the whole request body. Called on the reactor's thread.
using Script = std::function<ScriptedAnswer(const std::string& body, bool stream)>;

std::unique_ptr<Provider> make_scripted_provider(net::Reactor& reactor, Script script);

/// A script from a file of rules, for `api = "scripted"`: JSON lines {"match": text in the last user message ("" for any),
/// "answer": text, "logprob": of each token or null, "status": 200, "delay_ms": 0}; the first rule that matches counts.
/// kIo, or kConfig with the line.
Result<Script> load_script(const std::string& file, const std::string& model);

}  // namespace understudy::providers
