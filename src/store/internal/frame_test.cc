#include "store/internal/frame.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "base/random.h"

namespace understudy::store {
namespace {

/// A segment in memory with `n` frames of assorted sizes.
struct FakeSegment {
  explicit FakeSegment(std::uint64_t first_sequence = 1, std::size_t size = 64 * 1024) : bytes(size, '\0') {
    header.number = 7;
    header.bytes = size;
    header.first_sequence = first_sequence;
    header.crc = header_crc(header);
    std::memcpy(bytes.data(), &header, sizeof header);
    next_sequence = first_sequence;
  }
  void add(const std::string& payload) {
    FrameHeader h;
    h.type = EventType::kAlarm;
    h.segment = 7;
    h.sequence = next_sequence++;
    h.length = static_cast<std::uint32_t>(sizeof h + payload.size());
    h.crc = frame_crc(h, payload);
    std::memcpy(bytes.data() + end, &h, sizeof h);
    std::memcpy(bytes.data() + end + sizeof h, payload.data(), payload.size());
    starts.push_back(end);
    end += frame_bytes(payload.size());
  }
  SegmentHeader header;
  std::string bytes;
  std::vector<std::size_t> starts;
  std::size_t end = kSegmentHeaderBytes;
  std::uint64_t next_sequence = 1;
};

std::vector<std::uint64_t> sequences(SegmentScanner& scanner) {
  std::vector<std::uint64_t> found;
  for (Frame frame; scanner.next(frame);) found.push_back(frame.header.sequence);
  return found;
}

TEST(SegmentScanner, FindsAllFramesAndTheEnd) {
  FakeSegment s;
  for (const char* text : {"", "a", "four-and-more", "eight---"}) s.add(text);
  SegmentScanner scanner(s.bytes, s.header);
  EXPECT_EQ(sequences(scanner), (std::vector<std::uint64_t>{1, 2, 3, 4}));
  EXPECT_EQ(scanner.stats().end, s.end);
  EXPECT_FALSE(scanner.stats().torn_tail);
  EXPECT_EQ(scanner.stats().corrupt_bytes, 0u);
}

TEST(SegmentScanner, HalfWrittenLastFrameIsATornTail) {
  FakeSegment s;
  for (int i = 0; i < 5; ++i) s.add(std::string(100, 'x'));
  std::memset(s.bytes.data() + s.starts[4] + 60, 0, 200);
  SegmentScanner scanner(s.bytes, s.header);
  EXPECT_EQ(sequences(scanner).size(), 4u);
  EXPECT_TRUE(scanner.stats().torn_tail);
  EXPECT_EQ(scanner.stats().end, s.starts[4]);
}

TEST(SegmentScanner, OneFlippedBitCostsOneFrame) {
  SeededRandom random(11);
  for (int round = 0; round < 300; ++round) {
    FakeSegment s;
    for (int i = 0; i < 20; ++i) s.add(std::string(random.below(300), static_cast<char>('a' + i)));
    const std::size_t at = kSegmentHeaderBytes + random.below(s.starts[19] - kSegmentHeaderBytes);
    s.bytes[at] = static_cast<char>(s.bytes[at] ^ (1 << random.below(8)));
    SegmentScanner scanner(s.bytes, s.header);
    const auto found = sequences(scanner);
    ASSERT_GE(found.size(), 19u) << "seed 11, round " << round << ", byte " << at;  // 20 where padding was hit
    ASSERT_EQ(found.back(), 20u);
    if (found.size() == 19) {
      ASSERT_EQ(scanner.stats().corrupt_places, 1u);
      ASSERT_GT(scanner.stats().corrupt_bytes, 0u);
    }
  }
}

TEST(SegmentScanner, FramesOfAnEarlierUseAreNotOurs) {
  FakeSegment s;
  s.add("one");
  s.header.number = 8;
  SegmentScanner scanner(s.bytes, s.header);
  EXPECT_TRUE(sequences(scanner).empty());
}

TEST(SegmentHeader, DamageAndNewerVersionsAreToldApart) {
  FakeSegment s;
  EXPECT_TRUE(read_segment_header(s.bytes).has_value());
  EXPECT_EQ(read_segment_header(std::string_view(s.bytes).substr(0, 100)).error().kind, ErrorKind::kCorrupt);
  std::string damaged = s.bytes;
  damaged[20] ^= 1;
  EXPECT_EQ(read_segment_header(damaged).error().kind, ErrorKind::kCorrupt);
  SegmentHeader newer = s.header;
  newer.version = kJournalVersion + 1;
  newer.crc = header_crc(newer);
  std::memcpy(damaged.data(), &newer, sizeof newer);
  EXPECT_EQ(read_segment_header(damaged).error().kind, ErrorKind::kUnsupported);
  EXPECT_EQ(read_segment_header(std::string(8192, '\0')).error().kind, ErrorKind::kCorrupt);
}

}  // namespace
}  // namespace understudy::store
