#pragma once
/// A request with examples before its last message: spliced into the client's bytes, which stay as they are but for that.

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace understudy::chat {

/// A request's text and its right answer. Any bytes.
struct ExampleTurn {
  std::string_view user, assistant;
};

/// Puts each example in as a turn of the user and one of the assistant, in their order, before the request's last message, and
/// `notice` behind the first system (or developer) message's text, or as a system message of its own where there is none, so that it
/// is the same from request to request and stays in what providers cache. It must not be empty.
///
/// The texts become JSON strings: whatever is in them, they end where their message ends and cannot take another role.
/// nullopt, and the request is to be asked without examples, where its last message is not the user's or where a role or a content
/// stands twice in a message, so that it is open whose it is. `body` has been accepted by parse_chat_request. A second parse and one
/// copy: about a microsecond a KiB. Thread-safe.
std::optional<std::string> with_examples(std::string_view body, std::span<const ExampleTurn> examples, std::string_view notice);

}  // namespace understudy::chat
