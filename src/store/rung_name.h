#pragma once
/// What the stored name of a rung says: calls of a paid signal are attempts of stage student, but no answers to the request.

#include <string_view>

namespace understudy::store {

inline constexpr std::string_view kSignalRungPrefix = "student+";   ///< "student+self_check"
inline constexpr std::string_view kExamplesRung = "student+examples";   ///< the student's answer to the request with examples: an answer of its own

/// Whether an attempt made for this rung looked at another one's answer.
inline bool is_signal_rung(std::string_view rung) { return rung.starts_with(kSignalRungPrefix) && rung != kExamplesRung; }

}  // namespace understudy::store
