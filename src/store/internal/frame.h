#pragma once
/// Layout of a journal segment (docs/formats/journal.md) and the one scanner that everybody who did not write a segment
/// reads it with: recovery, readers in other processes, `store check`, the fuzzer.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "store/internal/codec.h"

namespace understudy::store {

inline constexpr std::uint32_t kJournalVersion = 1;
inline constexpr std::size_t kSegmentHeaderBytes = 4096;
inline constexpr std::uint64_t kSegmentMagic = 0x314C'4E4A'4453'5455;  // "UTSDJNL1" in memory

/// First bytes of a segment; the rest of its first page is zero.
struct SegmentHeader {
  std::uint64_t magic = kSegmentMagic;
  std::uint32_t version = kJournalVersion;
  std::uint32_t reactor = 0;
  std::uint64_t number = 0;         ///< of the segment; ascending within a reactor, never used twice; 0 while being recycled
  std::uint64_t bytes = 0;          ///< of the file
  std::int64_t created_us = 0;      ///< wall time
  std::uint64_t first_sequence = 0; ///< of its first event; 0 while it is a spare
  std::uint32_t reserved = 0;
  std::uint32_t crc = 0;            ///< CRC-32C of all before it
};
static_assert(sizeof(SegmentHeader) == 56);

std::uint32_t header_crc(const SegmentHeader& header);

/// kUnsupported: a newer version; kCorrupt: anything else that is not a header of ours.
Result<SegmentHeader> read_segment_header(std::string_view bytes);

/// Before every event. Frames start at multiples of 8. `length` is written last: 0 means that nothing is here.
struct FrameHeader {
  std::uint32_t crc = 0;      ///< CRC-32C of the header after it, then of the payload
  std::uint32_t length = 0;   ///< of header and payload, without padding
  std::uint8_t version = kJournalVersion;
  EventType type = EventType::kErased;
  std::uint16_t reserved = 0;
  std::uint32_t segment = 0;  ///< low half of the segment's number: a frame left by an earlier use is not taken for ours
  std::uint64_t sequence = 0;
  std::int64_t mono_ns = 0;
  std::int64_t wall_us = 0;
};
static_assert(sizeof(FrameHeader) == 40);

std::uint32_t frame_crc(const FrameHeader& header, std::string_view payload);
constexpr std::size_t frame_bytes(std::size_t payload) { return (sizeof(FrameHeader) + payload + 7) & ~std::size_t{7}; }

struct Frame {
  FrameHeader header;
  std::string_view payload;
  std::size_t offset = 0;  ///< in the segment
};

struct ScanStats {
  std::uint64_t events = 0;
  std::uint64_t corrupt_bytes = 0;  ///< skipped between good frames
  std::uint64_t corrupt_places = 0;
  bool torn_tail = false;           ///< the bytes after the last good frame are not a frame
  std::size_t end = 0;              ///< offset after the last good frame
};

/// Finds the good frames of a segment, in order. A frame that fails its checksum is skipped, and the next good one
/// looked for at every multiple of 8; if there is none, it was the torn tail.
class SegmentScanner {
 public:
  /// `bytes` is the segment from its start; its header must have been read. Starts at `offset`.
  SegmentScanner(std::string_view bytes, const SegmentHeader& header, std::size_t offset = kSegmentHeaderBytes);

  /// False at the end. The payload's view lives as long as `bytes`.
  bool next(Frame& frame);
  const ScanStats& stats() const { return stats_; }

 private:
  bool frame_at(std::size_t offset, Frame& frame) const;

  std::string_view bytes_;
  std::uint32_t segment_;
  std::size_t offset_;
  std::uint64_t last_sequence_ = 0;
  ScanStats stats_;
};

}  // namespace understudy::store
