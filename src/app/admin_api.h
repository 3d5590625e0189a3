#pragma once
/// What the gateway's admin routes and status page answer: the commands' own answers (queries.h) over HTTP.

#include <filesystem>
#include <functional>

#include "gateway/admin.h"

namespace understudy::app {

/// Reads the configuration again; returns a sentence that says what is in force.
using ReloadHook = std::function<Result<std::string>()>;

/// For GatewayOptions::admin. Thread-safe. Without a hook POST /admin/api/reload is refused (kUnsupported).
gateway::AdminHandler make_admin_handler(std::filesystem::path data, ReloadHook reload = {});

}  // namespace understudy::app
