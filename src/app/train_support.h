#pragma once
/// What the `train` commands share.

#include <cstddef>
#include <string>
#include <string_view>

#include "base/error.h"

namespace understudy::app {

/// kConflict where the folder is there and not empty: said before the work.
Result<void> must_be_new(const std::string& folder);

/// One line on a terminal, rewritten; nothing elsewhere.
void show_progress(std::string_view what, std::size_t done, std::size_t total);
void end_progress();

/// As it was typed, for the record.
std::string command_of(int argc, char** argv, std::string command);

}  // namespace understudy::app
