#pragma once

namespace understudy::app {

/// `understudy explain REQUEST_ID [--data DIR] [--full] [--json]`.
int run_explain_command(int argc, char** argv);

}  // namespace understudy::app
