#include "store/internal/segment.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "store/internal/files.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

namespace understudy::store {
namespace {

constexpr std::size_t kSurplus = 4;

/// Makes every page present and writable now: a page fault costs the reactor about a microsecond.
int populate(char* base, std::size_t bytes) {
  if (madvise(base, bytes, MADV_POPULATE_WRITE) == 0) return 0;
  if (errno == EFAULT || errno == ENOMEM) return ENOSPC;
  if (errno != EINVAL) return errno;
  for (std::size_t at = 0; at < bytes; at += 4096) {  // kernels before 5.14
    volatile char* page = base + at;
    *page = *page;
  }
  return 0;
}

}  // namespace

std::string segment_file_name(std::uint32_t reactor, std::uint64_t number) {
  return fmt::format("r{:03}-{:020}.journal", reactor, number);
}

Segment::~Segment() {
  if (base != nullptr) munmap(base, bytes);
  if (fd >= 0) close(fd);
}

SegmentPool::SegmentPool(SegmentConfig config, std::uint32_t reactor, std::uint64_t next_number, std::uint64_t next_sequence,
                         const Clock& clock, Signal& keeper, Signal& writer, Signal& sync)
    : config_(std::move(config)),
      reactor_(reactor),
      first_sequence_(next_sequence),
      clock_(clock),
      keeper_(keeper),
      writer_(writer),
      sync_(sync),
      appended_(next_sequence - 1),
      next_number_(next_number) {}

std::shared_ptr<Segment> SegmentPool::next(Segment* full, std::uint64_t first_sequence) {
  std::shared_ptr<Segment> segment;
  {
    const std::lock_guard lock(mutex_);
    if (!spares_.empty()) {
      segment = std::move(spares_.front());
      spares_.pop_front();
      write_header(*segment, first_sequence);
      live_.push_back(segment);
      if (full != nullptr) full->sealed.store(true, std::memory_order_release);
    }
  }
  if (segment != nullptr) {
    keeper_.notify();
    if (full != nullptr) writer_.notify();
  }
  return segment;
}

std::vector<std::shared_ptr<Segment>> SegmentPool::live() const {
  const std::lock_guard lock(mutex_);
  return {live_.begin(), live_.end()};
}

void SegmentPool::release_front() {
  {
    const std::lock_guard lock(mutex_);
    released_.push_back(std::move(live_.front()));
    live_.pop_front();
  }
  keeper_.notify();
}

std::size_t SegmentPool::backlog_bytes(std::size_t front_offset) const {
  const std::lock_guard lock(mutex_);
  std::size_t total = 0;
  for (const auto& segment : live_) total += segment->committed.load(std::memory_order_acquire) - kSegmentHeaderBytes;
  const std::size_t done = live_.empty() ? 0 : std::max(front_offset, kSegmentHeaderBytes) - kSegmentHeaderBytes;
  return total - std::min(total, done);
}

Result<void> SegmentPool::refill() {
  const std::lock_guard one_at_a_time(refill_mutex_);
  for (;;) {
    std::shared_ptr<Segment> used;
    std::uint64_t number = 0;
    bool wanted = false;
    {
      const std::lock_guard lock(mutex_);
      const std::size_t existing = (live_.size() + spares_.size() + released_.size()) * config_.segment_bytes;
      wanted = spares_.size() < config_.spares;
      if (!released_.empty()) {
        // Used ones cost nothing to keep: under load they come back in bursts, and are needed again at once.
        wanted = spares_.size() < config_.spares + kSurplus;
        used = std::move(released_.back());
        released_.pop_back();
      } else if (!wanted || existing + config_.segment_bytes > config_.max_bytes) {
        return {};
      }
      if (wanted) number = next_number_++;
    }
    if (!wanted || (used != nullptr && used->sync_failed.load(std::memory_order_relaxed))) {  // more than we need after a burst, or not to be trusted
      remove(*used);
      continue;
    }
    std::shared_ptr<Segment> fresh = used;
    if (used != nullptr) {
      if (auto done = recycle(*used, number); !done) {
        remove(*used);
        return done;
      }
    } else {
      auto created = create(number);
      if (!created) return fail(std::move(created.error()));
      fresh = std::move(*created);
    }
    if (const int error = config_.sync ? config_.disk->sync_directory(config_.directory) : 0; error != 0) {
      remove(*fresh);  // after a loss of power it might not be found under its name
      return fail(ErrorKind::kIo, fmt::format("cannot sync {}: {}; {}", config_.directory.string(), errno_text(error), errno_remedy(error)));
    }
    const std::lock_guard lock(mutex_);
    spares_.push_back(std::move(fresh));
  }
}

void SegmentPool::remove_files() {
  const std::lock_guard lock(mutex_);
  for (const auto& segment : spares_) remove(*segment);
  for (const auto& segment : live_) remove(*segment);
  for (const auto& segment : released_) remove(*segment);
}

void SegmentPool::write_header(Segment& segment, std::uint64_t first_sequence) const {
  SegmentHeader header;
  header.reactor = reactor_;
  header.number = segment.number;
  header.bytes = segment.bytes;
  header.created_us = clock_.wall().us;
  header.first_sequence = first_sequence;
  header.crc = header_crc(header);
  segment.first_sequence = first_sequence;
  std::memcpy(segment.base, &header, sizeof header);
}

Result<std::shared_ptr<Segment>> SegmentPool::create(std::uint64_t number) {
  auto segment = std::make_shared<Segment>();
  segment->path = config_.directory / segment_file_name(reactor_, number);
  segment->number = number;
  const auto failed = [&](int error, const char* what) {
    if (segment->fd >= 0) remove(*segment);
    return fail(ErrorKind::kIo, fmt::format("cannot {} a journal segment of {} bytes in {}: {}; {}", what, config_.segment_bytes,
                                            config_.directory.string(), errno_text(error), errno_remedy(error)));
  };
  segment->fd = config_.disk->create(segment->path);
  if (segment->fd < 0) return failed(-segment->fd, "create");
  if (const int error = config_.disk->allocate(segment->fd, config_.segment_bytes); error != 0) return failed(error, "allocate");
  void* base = mmap(nullptr, config_.segment_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, segment->fd, 0);
  if (base == MAP_FAILED) return failed(errno, "map");
  segment->base = static_cast<char*>(base);
  segment->bytes = config_.segment_bytes;
  if (const int error = populate(segment->base, segment->bytes); error != 0) return failed(error, "fill");
  write_header(*segment, 0);
  return segment;
}

Result<void> SegmentPool::recycle(Segment& segment, std::uint64_t number) {
  // A reader of another process may be looking: first the header stops being valid, then the frames go, then the new life.
  SegmentHeader none;
  none.magic = 0;
  std::memcpy(segment.base, &none, sizeof none);
  std::atomic_thread_fence(std::memory_order_release);
  std::memset(segment.base + kSegmentHeaderBytes, 0, segment.committed.load(std::memory_order_acquire) - kSegmentHeaderBytes);
  if (const int error = populate(segment.base, segment.bytes); error != 0) {
    return fail(ErrorKind::kIo, fmt::format("cannot reuse journal segment {}: {}; {}", segment.path.string(), errno_text(error),
                                            errno_remedy(error)));
  }
  const std::filesystem::path path = config_.directory / segment_file_name(reactor_, number);
  if (const int error = config_.disk->rename(segment.path, path); error != 0) {
    return fail(ErrorKind::kIo, fmt::format("cannot rename journal segment {} to {}: {}; {}", segment.path.string(), path.string(),
                                            errno_text(error), errno_remedy(error)));
  }
  segment.path = path;
  segment.number = number;
  segment.sealed.store(false, std::memory_order_relaxed);
  segment.committed.store(kSegmentHeaderBytes, std::memory_order_release);
  write_header(segment, 0);
  return {};
}

std::vector<SegmentPool::SyncPoint> SegmentPool::sync_points() const {
  std::vector<SyncPoint> points;
  const std::lock_guard lock(mutex_);
  for (const auto& s : live_) points.push_back({s, s->number, s->first_sequence, s->committed.load(std::memory_order_acquire)});
  return points;
}

void SegmentPool::wait_durable(Waiter waiter) {
  {
    const std::lock_guard lock(mutex_);
    waiters_.push_back(std::move(waiter));
  }
  sync_.notify();
}

std::vector<SegmentPool::Waiter> SegmentPool::take_waiters() {
  const std::lock_guard lock(mutex_);
  return std::exchange(waiters_, {});
}

}  // namespace understudy::store
