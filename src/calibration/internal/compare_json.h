#pragma once
#include <optional>
#include <string_view>

#include "calibration/compare.h"

namespace understudy::calibration::internal {

/// Rules in compare.h. nullopt where either text is not JSON (a fence around it is allowed).
std::optional<bool> json_agrees(const ComparatorSpec& spec, std::string_view a, std::string_view b);

/// A JSON object or array, perhaps fenced.
bool looks_like_json(std::string_view text);

/// False for "", "null", "[]" and white space around them.
bool has_calls(std::string_view tool_calls);

/// Both are JSON arrays of OpenAI tool calls; texts that are not agree only byte for byte.
bool tool_calls_agree(const ComparatorSpec& spec, std::string_view a, std::string_view b);

/// Drops white space and one ``` fence with its language word.
std::string_view without_fence(std::string_view text);

}  // namespace understudy::calibration::internal
