#pragma once
/// Base64 with padding (RFC 4648, section 4). Pure; thread-safe.

#include <optional>
#include <string>
#include <string_view>

namespace understudy {

std::string base64(std::string_view bytes);

/// nullopt for anything that base64() does not write: other characters, missing padding, bits left over.
std::optional<std::string> from_base64(std::string_view text);

}  // namespace understudy
