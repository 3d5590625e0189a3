#pragma once

namespace understudy::app {

/// `understudy config check FILE` and `understudy config show FILE [--effective]`.
int run_config_command(int argc, char** argv);

}  // namespace understudy::app
