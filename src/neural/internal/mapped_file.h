#pragma once
#include <filesystem>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace understudy::neural::internal {

/// A file's bytes, mapped read-only: programs that use the same weights share the memory.
class MappedFile {
 public:
  /// kIo with path and reason.
  static Result<MappedFile> open(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept : base_(std::exchange(other.base_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  MappedFile& operator=(MappedFile&&) = delete;
  ~MappedFile();

  std::string_view bytes() const { return {static_cast<const char*>(base_), size_}; }

 private:
  MappedFile(void* base, std::size_t size) : base_(base), size_(size) {}
  void* base_;
  std::size_t size_;
};

/// A whole small file. kIo with path and reason; kTooLarge over `most_bytes`.
Result<std::string> read_small_file(const std::filesystem::path& path, std::size_t most_bytes);

}  // namespace understudy::neural::internal
