#pragma once
/// Commands with `--url`: the same questions, asked of a running gateway's admin API.

#include <string>
#include <utility>
#include <vector>

#include "app/command_line.h"
#include "app/queries.h"

namespace understudy::app {

struct GatewayQuestion {
  std::string path;                                             ///< encoded: "/admin/api/tasks/a%2Fb"
  std::vector<std::pair<std::string, std::string>> query = {};  ///< not encoded
  std::string method = "GET";
  std::string body = {};
};

/// The answer's text, as the command prints it. The key is in the environment variable that `--key-env` names. Errors: kUsage
/// for what is no address or no gateway; the gateway's own words where it refuses.
Result<std::string> ask_gateway(const StoreArguments& arguments, GatewayQuestion question, const Rendering& how);

}  // namespace understudy::app
