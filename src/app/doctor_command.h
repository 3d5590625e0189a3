#pragma once

namespace understudy::app {

/// `understudy doctor`: one call to each upstream: reachable, key valid, logprobs, streaming, price known; clock and disk.
int run_doctor_command(int argc, char** argv);

}  // namespace understudy::app
