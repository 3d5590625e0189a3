#pragma once
#include <string>
#include <string_view>

namespace understudy::app {

/// `text` for an HTML page, outside and inside quoted attributes.
std::string html_escaped(std::string_view text);

}  // namespace understudy::app
