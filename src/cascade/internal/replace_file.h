#pragma once
#include <filesystem>
#include <string_view>

#include "base/error.h"

namespace understudy::cascade::internal {

/// Writes the whole file beside its place, then puts it there as one: a reader sees the old text or the new one. kIo with the path.
Result<void> replace_file(const std::filesystem::path& file, std::string_view text);

}  // namespace understudy::cascade::internal
