#include "store/internal/tail.h"

#include <fmt/format.h>

#include <algorithm>

#include "store/internal/files.h"
#include "store/internal/frame.h"
#include "store/internal/try.h"

namespace understudy::store {
namespace {

bool same_segment_still(const SegmentFile& file, const SegmentHeader& header) {
  const auto bytes = read_file(file.path, 0, kSegmentHeaderBytes);
  if (!bytes) return false;
  const auto now = read_segment_header(*bytes);
  return now && now->number == header.number;
}

class TailReader {
 public:
  TailReader(const std::vector<Progress>& progress, const std::function<Result<void>(const Batch&)>& sink) : sink_(sink) {
    for (const Progress& p : progress) {
      reached_[p.reactor] = p;
      report_.reactors[p.reactor] = {p.segment, p.sequence};
    }
  }

  Result<void> read(const SegmentFile& file);
  TailReport take() { return std::move(report_); }

 private:
  const std::function<Result<void>(const Batch&)>& sink_;
  std::map<std::uint32_t, Progress> reached_;
  TailReport report_;
};

Result<void> TailReader::read(const SegmentFile& file) {
  Progress& reached = reached_[file.reactor];
  reached.reactor = file.reactor;
  TailReport::Reactor& reactor = report_.reactors[file.reactor];
  reactor.last_number = std::max(reactor.last_number, file.number);
  report_.files.push_back(file.path);
  ++report_.segments;
  if (file.number < reached.segment) return {};  // wholly in SQLite

  auto bytes = read_file(file.path);
  if (!bytes && bytes.error().kind == ErrorKind::kNotFound) {
    report_.moved = true;
    return {};
  }
  if (!bytes) return fail(std::move(bytes.error()));
  if (bytes->find_first_not_of('\0') >= std::min(bytes->size(), kSegmentHeaderBytes)) {
    // Being made or overwritten when its writer died, or the power went: nobody was promised anything in it.
    report_.moved = true;
    return {};
  }
  const auto header = read_segment_header(*bytes);
  if (!header) {
    if (header.error().kind == ErrorKind::kUnsupported) {
      return fail(ErrorKind::kUnsupported, file.path.string() + " " + header.error().message);
    }
    report_.moved = true;
    report_.damaged.push_back(file.path);
    report_.notes.push_back(file.path.string() + " " + header.error().message + "; its events are lost");
    return {};
  }
  if (header->number != file.number) report_.moved = true;
  if (header->first_sequence == 0) return {};  // a spare
  if (header->first_sequence > reached.sequence + 1) {
    report_.moved = true;
    const std::uint64_t lost = header->first_sequence - reached.sequence - 1;
    report_.events_missing += lost;
    report_.notes.push_back(fmt::format("{} events are missing before {}", lost, file.path.string()));
    reached.sequence = header->first_sequence - 1;
  }

  SegmentScanner scanner(*bytes, *header, header->number == reached.segment ? reached.offset : kSegmentHeaderBytes);
  Batch batch;
  Frame frame;
  const std::uint64_t before = reached.sequence;
  std::uint64_t lost = 0;
  while (scanner.next(frame)) {
    if (frame.header.sequence <= reached.sequence) continue;
    lost += frame.header.sequence - reached.sequence - 1;
    reached.sequence = frame.header.sequence;
    batch.records.push_back({frame.header.type, frame.header.wall_us, frame.payload});
  }
  const ScanStats& stats = scanner.stats();
  if (!same_segment_still(file, *header)) {
    report_.moved = true;
    reached.sequence = before;
    return {};
  }
  reached.segment = header->number;
  reached.offset = stats.end;
  reactor.last_sequence = std::max(reactor.last_sequence, reached.sequence);
  if (stats.torn_tail) {
    ++report_.torn_tails;
    report_.notes.push_back(fmt::format("{}: a half-written event at byte {} was cut off", file.path.string(), stats.end));
  }
  if (stats.corrupt_bytes > 0 || lost > 0) {
    report_.corrupt_bytes += stats.corrupt_bytes;
    report_.events_missing += lost;
    report_.damaged.push_back(file.path);
    report_.notes.push_back(fmt::format("{}: {} damaged bytes were skipped, {} events are missing", file.path.string(),
                                        stats.corrupt_bytes, lost));
  }
  report_.events += batch.records.size();
  if (batch.records.empty()) return {};
  batch.progress.push_back(reached);
  return sink_(batch);
}

}  // namespace

Result<TailReport> read_tail(const std::filesystem::path& journal_directory, const std::vector<Progress>& progress,
                             const std::function<Result<void>(const Batch&)>& sink) {
  STORE_TRY_ASSIGN(const std::vector<SegmentFile> files, list_segments(journal_directory));
  TailReader reader(progress, sink);
  for (const SegmentFile& file : files) STORE_TRY(reader.read(file));
  return reader.take();
}

}  // namespace understudy::store
