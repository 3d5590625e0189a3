#pragma once
/// What the stored name of a rung says: calls of a paid signal are attempts of stage student, but no answers to the request.

#include <string_view>

namespace understudy::store {

inline constexpr std::string_view kSignalRungPrefix = "student+";   ///< "student+self_check"

/// Whether an attempt made for this rung looked at another one's answer.
inline bool is_signal_rung(std::string_view rung) { return rung.starts_with(kSignalRungPrefix); }

}  // namespace understudy::store
