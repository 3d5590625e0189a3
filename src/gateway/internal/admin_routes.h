#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gateway/admin.h"

namespace understudy::gateway::internal {

struct MatchedAdmin {
  const AdminRouteInfo* info = nullptr;
  std::string_view name;   ///< what stands for the path's {...}, not decoded
};

/// The admin route that a path names; nullopt where there is none. A path with several methods is found by the method, else by its
/// first.
std::optional<MatchedAdmin> match_admin(std::string_view path, std::string_view method);

/// "a=1&b=x%20y" taken apart and decoded; "+" is a space.
std::vector<std::pair<std::string, std::string>> parse_query(std::string_view query);

/// The OpenAPI description of all admin routes (gateway/openapi.json).
std::string_view openapi_json();

/// True where a browser may have sent this for a page of another site: an Origin that is not the request's own host, or a
/// Sec-Fetch-Site that says so.
bool is_cross_origin(std::optional<std::string_view> origin, std::optional<std::string_view> fetch_site, std::string_view host);

}  // namespace understudy::gateway::internal
