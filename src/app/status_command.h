#pragma once

namespace understudy::app {

/// `understudy status [--data DIR] [--task T [--since 7d] [--until T] [--points 40] [--by time|requests] [--curve]] [--json]`.
int run_status_command(int argc, char** argv);

}  // namespace understudy::app
