#pragma once
#include <string>
#include <string_view>

namespace understudy::app {

/// "0.1.0", as in CMakeLists.txt.
std::string_view version();

/// "0.1.0 (g++ 12.2.0, Release)".
std::string version_line();

/// `understudy version [--json]`.
int run_version_command(int argc, char** argv);

}  // namespace understudy::app
