#pragma once

namespace understudy::app {

/// `understudy demo`: the whole loop on recorded data in about a minute.
int run_demo_command(int argc, char** argv);

}  // namespace understudy::app
