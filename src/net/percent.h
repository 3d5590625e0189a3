#pragma once
#include <string>
#include <string_view>

namespace understudy::net {

/// %2F and the like taken back; what is not a proper escape stays as it is.
std::string percent_decoded(std::string_view text);
/// Everything but unreserved characters (RFC 3986) escaped: fit for one part of a path, or a query's name or value.
std::string percent_encoded(std::string_view text);

}  // namespace understudy::net
