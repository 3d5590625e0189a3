#pragma once
/// Bytes in, work units out: files, directories, globs and standard input, plain, gzip or zstd, cut into chunks of whole
/// records. Memory is bounded by the chunk size and the longest record allowed.

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace understudy::audit {

/// How records follow each other in a file.
enum class Layout : std::uint8_t {
  kLines,   ///< a JSON document a line
  kValues,  ///< JSON documents of any shape one after another, or the elements of one list
  kCsv,     ///< RFC 4180 with a header line
};

struct InputLimits {
  std::size_t chunk_bytes = 256 * 1024;
  std::size_t longest_record = 256u << 20;  ///< a longer one is skipped and counted as malformed
};

/// A stretch of whole records. The buffer has kPadding readable bytes behind `size`.
struct Chunk {
  static constexpr std::size_t kPadding = 128;
  std::uint64_t sequence = 0;
  std::uint32_t file = 0;
  std::vector<char> buffer;
  std::size_t size = 0;
  std::vector<std::pair<std::size_t, std::size_t>> documents;  ///< kValues, kCsv: offset and size of each
  std::vector<std::uint32_t> lines;                            ///< kValues, kCsv: first line of each, from the chunk's start
  std::uint32_t line_count = 0;                                ///< kLines: filled by the worker
  std::uint32_t oversized = 0;                                 ///< records over the limit, skipped before this chunk
  std::string_view text() const { return {buffer.data(), size}; }
};

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// Fills up to `size` bytes; 0 at the end.
  virtual Result<std::size_t> read(char* to, std::size_t size) = 0;
  /// Bytes of the underlying file consumed so far, for the progress bar.
  virtual std::uint64_t consumed() const = 0;
};

/// "-" is standard input. Compression is told by the first bytes, not by the name. kUsage with path and reason.
Result<std::unique_ptr<ByteSource>> open_source(const std::string& path);
/// From memory, for tests and fuzzers.
std::unique_ptr<ByteSource> memory_source(std::string bytes);

/// Files, directories (every file below, hidden ones left out, in name order) and globs, in the order given.
Result<std::vector<std::string>> expand_inputs(const std::vector<std::string>& inputs);

/// Cuts one source into chunks. next() is called by one worker at a time.
class Chunker {
 public:
  Chunker(std::unique_ptr<ByteSource> source, InputLimits limits);

  /// The first bytes (up to 64 KiB), to detect layout and format. kIo, kUsage (broken compression).
  Result<std::string_view> head();
  void set_layout(Layout layout) { layout_ = layout; }
  /// False at the end.
  Result<bool> next(Chunk& chunk);
  std::uint64_t consumed() const { return source_->consumed(); }
  /// kCsv: the header line, once next() was called.
  const std::string& csv_header() const { return csv_header_; }

 private:
  Result<bool> fill(Chunk& chunk, std::size_t want);
  Result<bool> next_lines(Chunk& chunk);
  Result<bool> next_values(Chunk& chunk);
  Result<bool> next_csv(Chunk& chunk);
  Result<bool> skip_line();

  std::unique_ptr<ByteSource> source_;
  InputLimits limits_;
  Layout layout_ = Layout::kLines;
  std::vector<char> carry_;  ///< bytes read and not yet given out
  bool at_end_ = false;
  bool in_list_ = false;
  bool csv_started_ = false;
  std::string csv_header_;
};

}  // namespace understudy::audit
