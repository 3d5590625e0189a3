#pragma once
/// Guards our own invariants, also in release builds; input is never checked this way.

#include <string_view>

namespace understudy {
[[noreturn]] void invariant_failed(std::string_view expression, std::string_view file, int line);
}

#define UNDERSTUDY_ASSERT(condition) \
  (__builtin_expect(static_cast<bool>(condition), 1) ? void(0) : ::understudy::invariant_failed(#condition, __FILE__, __LINE__))
