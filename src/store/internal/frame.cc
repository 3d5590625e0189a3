#include "store/internal/frame.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "base/hash.h"

namespace understudy::store {

std::uint32_t header_crc(const SegmentHeader& header) {
  return crc32c({reinterpret_cast<const char*>(&header), offsetof(SegmentHeader, crc)});
}

Result<SegmentHeader> read_segment_header(std::string_view bytes) {
  SegmentHeader header;
  if (bytes.size() < kSegmentHeaderBytes) {
    return fail(ErrorKind::kCorrupt, fmt::format("is {} bytes long, shorter than a segment's header", bytes.size()));
  }
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.magic != kSegmentMagic) return fail(ErrorKind::kCorrupt, "is not a journal segment (wrong magic bytes)");
  if (header.version > kJournalVersion) {
    return fail(ErrorKind::kUnsupported, fmt::format("has journal format {}, this program knows up to {}; use the newer program",
                                                     header.version, kJournalVersion));
  }
  if (header.crc != header_crc(header)) return fail(ErrorKind::kCorrupt, "has a damaged header (wrong checksum)");
  return header;
}

std::uint32_t frame_crc(const FrameHeader& header, std::string_view payload) {
  constexpr std::size_t skip = offsetof(FrameHeader, length);
  return crc32c(payload, crc32c({reinterpret_cast<const char*>(&header) + skip, sizeof header - skip}));
}

SegmentScanner::SegmentScanner(std::string_view bytes, const SegmentHeader& header, std::size_t offset)
    : bytes_(bytes), segment_(static_cast<std::uint32_t>(header.number)), offset_(offset) {
  if (offset_ < kSegmentHeaderBytes || offset_ % 8 != 0) offset_ = kSegmentHeaderBytes;
  stats_.end = offset_;
}

bool SegmentScanner::frame_at(std::size_t offset, Frame& frame) const {
  if (offset > bytes_.size() || bytes_.size() - offset < sizeof(FrameHeader)) return false;
  std::memcpy(&frame.header, bytes_.data() + offset, sizeof(FrameHeader));
  const FrameHeader& h = frame.header;
  if (h.length < sizeof(FrameHeader) || h.length > bytes_.size() - offset || h.segment != segment_ || h.version == 0 || h.version > kJournalVersion || h.sequence <= last_sequence_) {
    return false;
  }
  frame.payload = bytes_.substr(offset + sizeof(FrameHeader), h.length - sizeof(FrameHeader));
  frame.offset = offset;
  return h.crc == frame_crc(h, frame.payload);
}

bool SegmentScanner::next(Frame& frame) {
  std::size_t at = offset_;
  bool damaged = false;
  while (!frame_at(at, frame)) {
    if (!damaged) {
      // Zeroes to the end are how a segment that is still being filled looks.
      const std::string_view rest = bytes_.substr(std::min(at, bytes_.size()));
      if (rest.find_first_not_of('\0') == std::string_view::npos) {
        offset_ = bytes_.size();
        return false;
      }
      damaged = true;
    }
    at += 8;
    if (at + sizeof(FrameHeader) > bytes_.size()) {
      stats_.torn_tail = true;
      offset_ = bytes_.size();
      return false;
    }
  }
  if (damaged) {
    stats_.corrupt_bytes += at - offset_;
    ++stats_.corrupt_places;
  }
  last_sequence_ = frame.header.sequence;
  offset_ = at + frame_bytes(frame.payload.size());
  stats_.end = offset_;
  ++stats_.events;
  return true;
}

}  // namespace understudy::store
