#pragma once
/// Reads the common plain-JSONL line in one pass over its bytes, without a tree.

#include <cstdint>
#include <string_view>

#include "audit/record.h"

namespace understudy::audit {

/// Reads one line into `out` (views into the line), which may hold an earlier line: a true answer has set every field that a
/// line can set, a false one leaves it half-filled. False where the line holds anything but known scalar fields in plain
/// ASCII (escapes, nesting, text of prompts, odd numbers, any error): read_plain then decides. A true answer equals
/// read_plain's, which a test checks line by line. [begin, end) must be followed by 128 readable bytes.
bool scan_plain(const char* begin, const char* end, CallRecord& out);
/// The same without the processor's wide instructions, for tests.
bool scan_plain_portable(const char* begin, const char* end, CallRecord& out);

}  // namespace understudy::audit
