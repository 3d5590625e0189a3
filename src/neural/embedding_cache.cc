#include "neural/embedding_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/assert.h"

namespace understudy::neural {
namespace {

constexpr std::string_view kMagic = "understudy embeddings 1\n";
constexpr std::size_t kReadAtOnce = std::size_t{4} << 20;

class FileLock {
 public:
  explicit FileLock(int fd) : fd_(fd) {
    while (flock(fd_, LOCK_EX) != 0 && errno == EINTR) {
    }
  }
  ~FileLock() { flock(fd_, LOCK_UN); }
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int fd_;
};

/// Fewer than asked for only at the file's end or on an error.
std::size_t read_at(int fd, char* to, std::size_t size, std::uint64_t at) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t count = pread(fd, to + done, size - done, static_cast<off_t>(at + done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    done += static_cast<std::size_t>(count);
  }
  return done;
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

std::uint64_t size_of(int fd) {
  struct stat status {};
  return fstat(fd, &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

}  // namespace

EmbeddingCache::EmbeddingCache(EmbeddingCache&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      path_(std::move(other.path_)),
      header_(std::move(other.header_)),
      dimension_(other.dimension_),
      most_bytes_(other.most_bytes_),
      places_(std::move(other.places_)) {}

EmbeddingCache::~EmbeddingCache() {
  if (fd_ >= 0) ::close(fd_);
}

Result<EmbeddingCache> EmbeddingCache::open(const std::filesystem::path& folder, const EncoderIdentity& identity, std::size_t dimension,
                                            std::uint64_t most_bytes) {
  UNDERSTUDY_ASSERT(dimension > 0);
  std::error_code ec;
  std::filesystem::create_directories(folder, ec);
  EmbeddingCache cache;
  cache.dimension_ = dimension;
  cache.most_bytes_ = most_bytes;
  cache.path_ = (folder / (identity.key() + ".embeddings")).string();
  cache.header_ = fmt::format("{}{} {}\n", kMagic, identity.key(), dimension);
  cache.fd_ = ::open(cache.path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (cache.fd_ < 0) return fail(ErrorKind::kIo, fmt::format("embedding cache: {}: {}", cache.path_, std::strerror(errno)));
  const FileLock lock(cache.fd_);
  if (auto done = cache.read(size_of(cache.fd_)); !done) return fail(done.error());
  return cache;
}

Result<void> EmbeddingCache::read(std::uint64_t size) {
  const auto failed = [&] { return fail(ErrorKind::kIo, fmt::format("embedding cache: {}: {}", path_, std::strerror(errno))); };
  std::string header(header_.size(), '\0');
  if (read_at(fd_, header.data(), header.size(), 0) != header.size() || header != header_) {
    if (ftruncate(fd_, 0) != 0 || !write_all(fd_, header_)) return failed();
    return {};
  }
  const std::size_t bytes = record_bytes(), at_once = std::max<std::size_t>(kReadAtOnce / bytes, 1);
  std::string records(at_once * bytes, '\0');
  std::uint64_t at = header_.size();
  for (bool whole = true; whole && at + bytes <= size;) {
    const std::size_t count = read_at(fd_, records.data(), records.size(), at) / bytes;
    whole = count == at_once;
    for (std::size_t i = 0; i < count; ++i) {
      const std::string_view record(records.data() + i * bytes, bytes);
      std::uint32_t checksum = 0;
      std::memcpy(&checksum, record.data() + bytes - sizeof checksum, sizeof checksum);
      if (checksum != crc32c(record.substr(0, bytes - sizeof checksum))) {
        whole = false;
        break;
      }
      Hash128 key;
      std::memcpy(&key, record.data(), sizeof key);
      places_[key] = at + sizeof key;
      at += bytes;
    }
  }
  if (at < size && ftruncate(fd_, static_cast<off_t>(at)) != 0) return failed();
  return {};
}

bool EmbeddingCache::find(std::string_view text, std::span<float> vector) const {
  UNDERSTUDY_ASSERT(vector.size() == dimension_);
  const auto found = places_.find(hash128(text));
  return found != places_.end() && read_at(fd_, reinterpret_cast<char*>(vector.data()), vector.size_bytes(), found->second) == vector.size_bytes();
}

Result<void> EmbeddingCache::add(std::span<const std::string_view> texts, std::span<const float> vectors) {
  UNDERSTUDY_ASSERT(vectors.size() == texts.size() * dimension_);
  std::string records;
  std::vector<Hash128> keys;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const Hash128 key = hash128(texts[i]);
    if (places_.contains(key)) continue;
    const std::size_t begin = records.size();
    records.append(reinterpret_cast<const char*>(&key), sizeof key);
    records.append(reinterpret_cast<const char*>(vectors.data() + i * dimension_), dimension_ * sizeof(float));
    const std::uint32_t checksum = crc32c(std::string_view(records).substr(begin));
    records.append(reinterpret_cast<const char*>(&checksum), sizeof checksum);
    places_[key] = 0;  // its place follows below
    keys.push_back(key);
  }
  if (records.empty()) return {};
  const FileLock lock(fd_);
  const std::uint64_t end = size_of(fd_);
  const bool fits = end + records.size() <= most_bytes_;
  if (!fits || !write_all(fd_, records)) {
    const int reason = errno;
    for (const Hash128& key : keys) places_.erase(key);
    if (!fits) return {};
    if (ftruncate(fd_, static_cast<off_t>(end)) != 0) return fail(ErrorKind::kIo, fmt::format("embedding cache: {}: {}", path_, std::strerror(errno)));
    return fail(ErrorKind::kIo, fmt::format("embedding cache: {}: {}", path_, std::strerror(reason)));
  }
  for (std::size_t i = 0; i < keys.size(); ++i) places_[keys[i]] = end + i * record_bytes() + sizeof(Hash128);
  return {};
}

}  // namespace understudy::neural
