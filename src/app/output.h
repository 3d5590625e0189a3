#pragma once
/// Where commands write: results to standard output, everything about the run to standard error.

#include <string_view>

#include "base/error.h"

namespace understudy::app {

/// Writes all of `text` to standard output and flushes. Returns `status`; also where the reader has gone (`| head`: it has seen
/// what it wanted). Where the output cannot be written (full disk), says so and returns kExitIncomplete.
int print_output(std::string_view text, int status = 0);

/// Writes one message to standard error; adds the new line where it lacks one.
void print_error(std::string_view message);

/// Tells an error of a command: "understudy NAME: message" on standard error and, with `json`, also
/// `{"schema":"understudy.error/1","kind":...,"message":...}` on standard output. Returns the exit status.
int report_error(std::string_view command, const Error& error, bool json);

}  // namespace understudy::app
