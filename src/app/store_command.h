#pragma once

namespace understudy::app {

/// `understudy store check [--data DIR] [--json]`: exit status 1 where errors were found.
int run_store_check_command(int argc, char** argv);

/// `understudy store compact [--data DIR] [--bodies AGE] [--json]`.
int run_store_compact_command(int argc, char** argv);

}  // namespace understudy::app
