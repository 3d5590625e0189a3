#pragma once
#include <cstdint>
#include <string_view>

namespace understudy::chat {

/// A piece of a JSON text by byte offsets, so that only changed fields need to be rewritten when it is forwarded.
struct Span {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;

  bool present() const { return end > begin; }
  std::string_view in(std::string_view text) const { return text.substr(begin, end - begin); }
};

}  // namespace understudy::chat
