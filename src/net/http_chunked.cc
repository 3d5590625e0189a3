#include <algorithm>

#include "net/http.h"
#include "net/internal/ascii.h"

namespace understudy::net {
namespace {

constexpr std::uint16_t kSizeLineBytes = 256;
constexpr std::uint16_t kTrailerBytes = 8 * 1024;
constexpr std::uint8_t kSizeDigits = 15;  // so that sizes stay far from overflow

Unexpected bad(const char* message) { return fail(ErrorKind::kInvalidRequest, message); }

}  // namespace

Result<std::optional<std::string_view>> ChunkedDecoder::next(std::string_view& input) {
  using enum State;
  while (!input.empty() && state_ != kDone) {
    if (state_ == kData) {
      const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left_, input.size()));
      const std::string_view slice = input.substr(0, size);
      input.remove_prefix(size);
      left_ -= size;
      if (left_ == 0) state_ = kDataCr;
      return std::optional<std::string_view>(slice);
    }
    const char c = input.front();
    input.remove_prefix(1);
    switch (state_) {
      case kSize: {
        const int digit = internal::hex_value(c);
        if (digit >= 0) {
          if (++digits_ > kSizeDigits) return bad("chunk size too large");
          left_ = left_ * 16 + static_cast<std::uint64_t>(digit);
        } else if (digits_ == 0) {
          return bad("malformed chunk size");
        } else if (c == '\r') {
          state_ = kSizeLf;
        } else if (c == ';') {
          state_ = kExtension;
          line_bytes_ = 0;
        } else {
          return bad("malformed chunk size");
        }
        break;
      }
      case kExtension:
        if (c == '\r') {
          state_ = kSizeLf;
        } else if (!internal::is_field_value({&c, 1})) {
          return bad("control byte in a chunk extension");
        } else if (++line_bytes_ > kSizeLineBytes) {
          return bad("chunk extension too long");
        }
        break;
      case kSizeLf:
        if (c != '\n') return bad("bare CR after a chunk size");
        digits_ = 0;
        line_bytes_ = 0;
        state_ = left_ == 0 ? kTrailerStart : kData;
        break;
      case kDataCr:
        if (c != '\r') return bad("a chunk is longer than its size");
        state_ = kDataLf;
        break;
      case kDataLf:
        if (c != '\n') return bad("a chunk is longer than its size");
        state_ = kSize;
        break;
      case kTrailerStart:
        if (c == '\r') {
          state_ = kEndLf;
          break;
        }
        if (!internal::is_token_byte(c)) return bad("malformed trailer field");
        [[fallthrough]];
      case kTrailer:
        if (c == '\r') {
          state_ = kTrailerLf;
        } else if (!internal::is_field_value({&c, 1})) {
          return bad("control byte in a trailer field");
        } else {
          state_ = kTrailer;
        }
        if (++line_bytes_ > kTrailerBytes) return bad("trailer too long");
        break;
      case kTrailerLf:
        if (c != '\n') return bad("bare CR in a trailer field");
        state_ = kTrailerStart;
        break;
      case kEndLf:
        if (c != '\n') return bad("bare CR after the last chunk");
        state_ = kDone;
        break;
      case kData:
      case kDone: break;
    }
  }
  return std::optional<std::string_view>();
}

}  // namespace understudy::net
