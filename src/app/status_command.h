#pragma once

namespace understudy::app {

/// `understudy status [--data DIR] [--task T] [--json]`.
int run_status_command(int argc, char** argv);

}  // namespace understudy::app
