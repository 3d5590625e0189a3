#pragma once
/// `understudy audit`, as one function, so that the program and tests call the same thing.

#include <functional>
#include <memory>
#include <ostream>
#include <string>

#include "audit/engine.h"

namespace understudy::audit {

/// What the command needs from the rest of the program.
struct CommandEnvironment {
  bool stderr_is_terminal = false;  ///< a progress bar for work over a second
  bool colour = false;              ///< of the text on standard output
};

/// argv[0] is the name shown in --help. Returns the exit status: 0 done, 1 --fail-on reached, 2 bad usage or unreadable
/// input, 3 more than 1 % of the tokens have no price.
int run_audit_command(int argc, const char* const* argv, std::ostream& out, std::ostream& err, const CommandEnvironment& environment = {});

}  // namespace understudy::audit
