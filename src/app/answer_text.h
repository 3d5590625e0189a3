#pragma once
#include <string>
#include <string_view>

#include "store/queries.h"

namespace understudy::app {

/// What an assistant message (`{"role":"assistant","content":...}`) says: its content or refusal, then its tool calls as
/// `name(arguments)`. The JSON itself where it cannot be read (it was truncated). Not made safe for a terminal.
std::string message_text(std::string_view message_json);

/// The same of a stored answer; "(not stored)" where there is none.
std::string stored_answer_text(const store::Body& answer);

/// The last user message of a stored request, else its JSON; "(not stored)".
std::string stored_request_text(const store::Body& request);

}  // namespace understudy::app
