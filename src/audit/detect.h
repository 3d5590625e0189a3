#pragma once
/// Which format a file has, and how its records are laid out.

#include <string>
#include <string_view>

#include "audit/adapters/adapters.h"
#include "audit/input.h"
#include "base/error.h"

namespace understudy::audit {

struct Detected {
  Format format = Format::kAuto;
  Layout layout = Layout::kLines;
};

/// Layout and format from a file's first bytes: the first documents in `head` that parse decide. `forced` (not kAuto) is the
/// format that the user named; then only the layout is looked for. kUsage, naming `path`, where it is nothing known here.
Result<Detected> detect(std::string_view head, Format forced, const std::string& path);

}  // namespace understudy::audit
