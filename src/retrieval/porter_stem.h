#pragma once
#include <string>
#include <string_view>

namespace understudy::retrieval {

/// An English word without its endings, so that "waves", "waving" and "waved" are one (Porter 1980). A word of fewer than three letters, or with anything but
/// a to z in it, is returned as it is. Pure, thread-safe; about 0.1 us.
std::string porter_stem(std::string_view word);

}  // namespace understudy::retrieval
