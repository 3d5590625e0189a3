#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace understudy {

/// Number of letters to insert, delete, replace or swap with their neighbour to turn one word into the other (optimal string
/// alignment). O(|a| |b|).
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The name that somebody who typed `word` most likely meant: the least distance, at most a third of the longer word's
/// length (at least one); else the only name that begins with `word`. nullopt where nothing is near.
std::optional<std::string_view> nearest_name(std::string_view word, std::span<const std::string_view> names);

/// `; did you mean "X"?`, or "" where nothing is near: to put behind an error.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> names);

}  // namespace understudy
