#pragma once
/// The admin API and the status page: the gateway knows their routes, who may ask, and what only a running gateway can tell;
/// what is answered is made above it (`app`), from the store, with the writers of the command line's `--json`.

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/budget.h"
#include "base/error.h"
#include "base/money.h"
#include "cascade/policy.h"
#include "cascade/promise.h"
#include "lessons/service.h"

namespace understudy::gateway {

enum class AdminRoute { kPage, kStatus, kCurve, kTasks, kTask, kPin, kAlarms, kRequests, kRequest, kEscalations, kLessons, kLesson, kRetireLesson, kReload, kOpenapi, kCalls };

/// One admin route, as docs and errors name it: "{}" in `path` stands for one part that the caller fills in.
struct AdminRouteInfo {
  AdminRoute route;
  std::string_view method;
  std::string_view path;   ///< "/admin/api/tasks/{task}"
};
std::span<const AdminRouteInfo> admin_routes();

/// What a running gateway knows beside its store.
struct LiveGateway {
  std::shared_ptr<const cascade::Policy> policy;
  std::vector<cascade::TaskReport> tasks;
  Picousd label_spent_today;
  std::optional<lessons::LessonReport> lessons;   ///< nullopt: nothing is recorded
  std::vector<BudgetReport> budgets;
  /// LessonService::retire; empty where there is none.
  std::function<Result<void>(const std::string& id, const std::optional<std::string>& tenant, const std::string& why)> retire_lesson;
  /// Takes a task off the cheap stages, or back (PromiseService::pin).
  std::function<Result<void>(const std::string& task, bool to_teacher)> pin;
};

struct AdminQuestion {
  AdminRoute route = AdminRoute::kPage;
  std::string name;                                         ///< the path's own part, decoded; "" where it has none
  std::vector<std::pair<std::string, std::string>> query;   ///< decoded, in order
  std::string body;
  LiveGateway live;

  std::optional<std::string> parameter(std::string_view key) const;   ///< the first of that name
};

struct AdminAnswer {
  std::string content_type = "application/json";
  std::string content_security_policy;   ///< "": default-src 'none'
  std::string body;
};

/// Runs on a thread of its own, several at once; may read disk. Its errors go out with their own status; kUsage as 400.
using AdminHandler = std::function<Result<AdminAnswer>(const AdminQuestion& question)>;

}  // namespace understudy::gateway
