#pragma once
#include <filesystem>
#include <vector>

#include "base/error.h"
#include "neural/internal/runtime.h"

namespace understudy::neural::internal {

/// Loads the shared object that computes networks, once a process; later calls return the same. Looked for in this order:
///   $UNDERSTUDY_ENCODER_RUNTIME (a file; then nothing else), beside the program, ../lib/understudy/ from there, the build tree.
/// Thread-safe. kUnsupported: there is none, with where it was looked for and what to do; or it cannot be loaded, with the reason.
Result<const RuntimeEntry*> load_runtime();

/// Where load_runtime looks, given the program's folder.
std::vector<std::filesystem::path> runtime_candidates(const std::filesystem::path& program_folder);
/// The folder of the running program.
std::filesystem::path program_folder();

}  // namespace understudy::neural::internal
