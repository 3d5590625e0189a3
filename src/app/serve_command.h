#pragma once

namespace understudy::app {

/// `understudy serve`: the gateway, until SIGINT or SIGTERM; SIGHUP reloads the configuration.
int run_serve_command(int argc, char** argv);

}  // namespace understudy::app
