// Where bytes come from: files, pipes, gzip, zstd; and which files are meant.
#include <fcntl.h>
#include <fmt/format.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "audit/input.h"

namespace understudy::audit {
namespace {

class FdSource final : public ByteSource {
 public:
  FdSource(int fd, std::string path, bool own) : fd_(fd), path_(std::move(path)), own_(own) {}
  ~FdSource() override {
    if (own_) ::close(fd_);
  }
  Result<std::size_t> read(char* to, std::size_t size) override {
    for (;;) {
      const ssize_t n = ::read(fd_, to, size);
      if (n >= 0) {
        consumed_ += static_cast<std::uint64_t>(n);
        return static_cast<std::size_t>(n);
      }
      if (errno != EINTR) return fail(ErrorKind::kUsage, fmt::format("cannot read {}: {}", path_, std::strerror(errno)));
    }
  }
  std::uint64_t consumed() const override { return consumed_; }

 private:
  int fd_;
  std::string path_;
  bool own_;
  std::uint64_t consumed_ = 0;
};

class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(std::string bytes) : bytes_(std::move(bytes)) {}
  Result<std::size_t> read(char* to, std::size_t size) override {
    const std::size_t n = std::min(size, bytes_.size() - at_);
    std::memcpy(to, bytes_.data() + at_, n);
    at_ += n;
    return n;
  }
  std::uint64_t consumed() const override { return at_; }

 private:
  std::string bytes_;
  std::size_t at_ = 0;
};

/// Gives back bytes that were read to look at, then the rest.
class Replay final : public ByteSource {
 public:
  Replay(std::string first, std::unique_ptr<ByteSource> rest) : first_(std::move(first)), rest_(std::move(rest)) {}
  Result<std::size_t> read(char* to, std::size_t size) override {
    if (at_ < first_.size()) {
      const std::size_t n = std::min(size, first_.size() - at_);
      std::memcpy(to, first_.data() + at_, n);
      at_ += n;
      return n;
    }
    return rest_->read(to, size);
  }
  std::uint64_t consumed() const override { return rest_->consumed(); }

 private:
  std::string first_;
  std::size_t at_ = 0;
  std::unique_ptr<ByteSource> rest_;
};

constexpr std::size_t kPackedBytes = 128 * 1024;

class GzipSource final : public ByteSource {
 public:
  GzipSource(std::unique_ptr<ByteSource> packed, std::string path) : packed_(std::move(packed)), path_(std::move(path)), in_(kPackedBytes) {
    inflateInit2(&z_, 15 + 16);
  }
  ~GzipSource() override { inflateEnd(&z_); }
  Result<std::size_t> read(char* to, std::size_t size) override {
    z_.next_out = reinterpret_cast<Bytef*>(to);
    z_.avail_out = static_cast<uInt>(std::min<std::size_t>(size, 1u << 30));
    const uInt room = z_.avail_out;
    while (z_.avail_out == room && !done_) {
      if (z_.avail_in == 0) {
        auto n = packed_->read(in_.data(), in_.size());
        if (!n) return n;
        if (*n == 0) {
          if (inside_) return fail(ErrorKind::kUsage, fmt::format("{} is cut short: the gzip stream does not end", path_));
          done_ = true;
          break;
        }
        z_.next_in = reinterpret_cast<Bytef*>(in_.data());
        z_.avail_in = static_cast<uInt>(*n);
      }
      inside_ = true;
      const int rc = inflate(&z_, Z_NO_FLUSH);
      if (rc == Z_STREAM_END) {  // another member may follow
        inflateReset(&z_);
        inside_ = false;
      } else if (rc != Z_OK && rc != Z_BUF_ERROR) {
        return fail(ErrorKind::kUsage, fmt::format("{} is not intact gzip: {}", path_, z_.msg != nullptr ? z_.msg : "bad data"));
      }
    }
    return room - z_.avail_out;
  }
  std::uint64_t consumed() const override { return packed_->consumed(); }

 private:
  std::unique_ptr<ByteSource> packed_;
  std::string path_;
  std::vector<char> in_;
  z_stream z_{};
  bool inside_ = false;
  bool done_ = false;
};

class ZstdSource final : public ByteSource {
 public:
  ZstdSource(std::unique_ptr<ByteSource> packed, std::string path)
      : packed_(std::move(packed)), path_(std::move(path)), buffer_(kPackedBytes), context_(ZSTD_createDCtx()) {
    ZSTD_DCtx_setParameter(context_, ZSTD_d_windowLogMax, 27);  // 128 MiB: a bound on what a hostile file makes us allocate
  }
  ~ZstdSource() override { ZSTD_freeDCtx(context_); }
  Result<std::size_t> read(char* to, std::size_t size) override {
    ZSTD_outBuffer out{to, size, 0};
    while (out.pos == 0) {
      if (in_.pos == in_.size) {
        auto n = packed_->read(buffer_.data(), buffer_.size());
        if (!n) return n;
        if (*n == 0) {
          if (pending_ != 0) return fail(ErrorKind::kUsage, fmt::format("{} is cut short: the zstd frame does not end", path_));
          return 0;
        }
        in_ = {buffer_.data(), *n, 0};
      }
      pending_ = ZSTD_decompressStream(context_, &out, &in_);
      if (ZSTD_isError(pending_)) {
        return fail(ErrorKind::kUsage, fmt::format("{} is not intact zstd: {}", path_, ZSTD_getErrorName(pending_)));
      }
    }
    return out.pos;
  }
  std::uint64_t consumed() const override { return packed_->consumed(); }

 private:
  std::unique_ptr<ByteSource> packed_;
  std::string path_;
  std::vector<char> buffer_;
  ZSTD_DCtx* context_;
  ZSTD_inBuffer in_{nullptr, 0, 0};
  std::size_t pending_ = 0;
};

}  // namespace

std::unique_ptr<ByteSource> memory_source(std::string bytes) { return std::make_unique<MemorySource>(std::move(bytes)); }

Result<std::unique_ptr<ByteSource>> open_source(const std::string& path) {
  std::unique_ptr<ByteSource> raw;
  if (path == "-") {
    raw = std::make_unique<FdSource>(0, "standard input", false);
  } else {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail(ErrorKind::kUsage, fmt::format("cannot open {}: {}", path, std::strerror(errno)));
    posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    raw = std::make_unique<FdSource>(fd, path, true);
  }
  std::string magic(4, '\0');
  std::size_t have = 0;
  while (have < magic.size()) {
    auto n = raw->read(magic.data() + have, magic.size() - have);
    if (!n) return fail(std::move(n.error()));
    if (*n == 0) break;
    have += *n;
  }
  magic.resize(have);
  const bool gzip = magic.starts_with("\x1f\x8b");
  const bool zstd = magic == "\x28\xb5\x2f\xfd";
  auto replay = std::make_unique<Replay>(std::move(magic), std::move(raw));
  if (gzip) return std::make_unique<GzipSource>(std::move(replay), path);
  if (zstd) return std::make_unique<ZstdSource>(std::move(replay), path);
  return replay;
}

Result<std::vector<std::string>> expand_inputs(const std::vector<std::string>& inputs) {
  namespace fs = std::filesystem;
  std::vector<std::string> out;
  for (const std::string& input : inputs) {
    std::error_code ec;
    if (input == "-") {
      out.push_back(input);
    } else if (fs::is_directory(input, ec)) {
      std::vector<std::string> files;
      for (auto it = fs::recursive_directory_iterator(input, fs::directory_options::skip_permission_denied, ec);
           !ec && it != fs::recursive_directory_iterator(); it.increment(ec)) {
        if (it->path().filename().string().starts_with('.')) {
          if (it->is_directory(ec)) it.disable_recursion_pending();
          continue;
        }
        if (it->is_regular_file(ec)) files.push_back(it->path().string());
      }
      if (files.empty()) return fail(ErrorKind::kUsage, fmt::format("directory {} holds no files", input));
      std::sort(files.begin(), files.end());
      out.insert(out.end(), files.begin(), files.end());
    } else if (fs::exists(input, ec)) {
      out.push_back(input);
    } else if (input.find_first_of("*?[") != std::string::npos) {
      glob_t found{};
      if (::glob(input.c_str(), 0, nullptr, &found) == 0) {
        for (std::size_t i = 0; i < found.gl_pathc; ++i) {
          if (fs::is_regular_file(found.gl_pathv[i], ec)) out.emplace_back(found.gl_pathv[i]);
        }
      }
      const bool any = found.gl_pathc > 0;
      ::globfree(&found);
      if (!any) return fail(ErrorKind::kUsage, fmt::format("no file matches {}", input));
    } else {
      return fail(ErrorKind::kUsage, fmt::format("{} does not exist; give trace files, directories, globs or - for standard input", input));
    }
  }
  return out;
}

}  // namespace understudy::audit
