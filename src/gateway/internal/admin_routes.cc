#include "gateway/internal/admin_routes.h"

#include <algorithm>
#include <array>

#include "net/http.h"
#include "net/percent.h"

extern "C" const char understudy_openapi_begin[], understudy_openapi_end[];

namespace understudy::gateway {
namespace {

constexpr std::array kRoutes{
    AdminRouteInfo{AdminRoute::kPage, "GET", "/"},
    AdminRouteInfo{AdminRoute::kPage, "GET", "/admin"},
    AdminRouteInfo{AdminRoute::kStatus, "GET", "/admin/api/status"},
    AdminRouteInfo{AdminRoute::kCurve, "GET", "/admin/api/curve"},
    AdminRouteInfo{AdminRoute::kTasks, "GET", "/admin/api/tasks"},
    AdminRouteInfo{AdminRoute::kPin, "POST", "/admin/api/tasks/{task}/pin"},
    AdminRouteInfo{AdminRoute::kTask, "GET", "/admin/api/tasks/{task}"},
    AdminRouteInfo{AdminRoute::kAlarms, "GET", "/admin/api/alarms"},
    AdminRouteInfo{AdminRoute::kRequests, "GET", "/admin/api/requests"},
    AdminRouteInfo{AdminRoute::kRequest, "GET", "/admin/api/requests/{id}"},
    AdminRouteInfo{AdminRoute::kEscalations, "GET", "/admin/api/escalations"},
    AdminRouteInfo{AdminRoute::kLessons, "GET", "/admin/api/lessons"},
    AdminRouteInfo{AdminRoute::kRetireLesson, "POST", "/admin/api/lessons/{id}/retire"},
    AdminRouteInfo{AdminRoute::kLesson, "GET", "/admin/api/lessons/{id}"},
    AdminRouteInfo{AdminRoute::kReload, "POST", "/admin/api/reload"},
    AdminRouteInfo{AdminRoute::kCalls, "GET", "/admin/api/calls"},
    AdminRouteInfo{AdminRoute::kOpenapi, "GET", "/admin/api/openapi.json"},
};

/// What stands for {...}: one part, not empty. nullopt where `path` is not of that form.
std::optional<std::string_view> fill(std::string_view form, std::string_view path) {
  const std::size_t open = form.find('{');
  if (open == std::string_view::npos) return path == form ? std::optional(std::string_view{}) : std::nullopt;
  const std::string_view before = form.substr(0, open), behind = form.substr(form.find('}') + 1);
  if (path.size() <= before.size() + behind.size() || !path.starts_with(before) || !path.ends_with(behind)) return std::nullopt;
  const std::string_view part = path.substr(before.size(), path.size() - before.size() - behind.size());
  return part.find('/') == std::string_view::npos ? std::optional(part) : std::nullopt;
}

std::string form_decoded(std::string_view text) {
  std::string spaced(text);
  for (char& c : spaced) c = c == '+' ? ' ' : c;
  return net::percent_decoded(spaced);
}

}  // namespace

std::span<const AdminRouteInfo> admin_routes() { return kRoutes; }

std::optional<std::string> AdminQuestion::parameter(std::string_view key) const {
  const auto found = std::find_if(query.begin(), query.end(), [&](const auto& one) { return one.first == key; });
  return found == query.end() ? std::nullopt : std::optional(found->second);
}

namespace internal {

std::optional<MatchedAdmin> match_admin(std::string_view path, std::string_view method) {
  std::optional<MatchedAdmin> found;
  for (const AdminRouteInfo& info : kRoutes) {
    const auto name = fill(info.path, path);
    if (!name) continue;
    if (info.method == method) return MatchedAdmin{&info, *name};
    if (!found) found = MatchedAdmin{&info, *name};
  }
  return found;
}

std::vector<std::pair<std::string, std::string>> parse_query(std::string_view query) {
  std::vector<std::pair<std::string, std::string>> out;
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (pair.empty()) continue;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    out.emplace_back(form_decoded(pair.substr(0, equals)), form_decoded(pair.substr(std::min(equals + 1, pair.size()))));
  }
  return out;
}

std::string_view openapi_json() { return {understudy_openapi_begin, static_cast<std::size_t>(understudy_openapi_end - understudy_openapi_begin)}; }

bool is_cross_origin(std::optional<std::string_view> origin, std::optional<std::string_view> fetch_site, std::string_view host) {
  if (fetch_site && *fetch_site != "same-origin" && *fetch_site != "none") return true;
  if (!origin) return false;
  std::string_view authority = *origin;
  const std::size_t scheme = authority.find("://");
  if (scheme == std::string_view::npos) return true;  // "null": a sandboxed page or a file
  authority.remove_prefix(scheme + 3);
  return !net::equals_ignore_case(authority, host);
}

}  // namespace internal
}  // namespace understudy::gateway
