#pragma once
#include <filesystem>
#include <string>

#include "base/error.h"

namespace understudy::app {

/// A configuration file that a command edits. While it is open no other command edits it (flock on the file); a gateway that reads it
/// sees the old text or the new one, never a part. Links are followed: what they point to is replaced.
class ConfigFile {
 public:
  /// kConfig where it cannot be read or written, or is being edited.
  static Result<ConfigFile> open(const std::string& path);
  ~ConfigFile();
  ConfigFile(ConfigFile&& other) noexcept;
  ConfigFile& operator=(ConfigFile&&) = delete;

  const std::string& text() const { return text_; }
  /// Writes a new file beside it with the same mode and owner, on disk before it takes the old one's place. kIo, and the old file
  /// as it was, where that fails.
  Result<void> replace(const std::string& text);

 private:
  ConfigFile(std::filesystem::path path, int fd, std::string text) : path_(std::move(path)), fd_(fd), text_(std::move(text)) {}
  std::filesystem::path path_;
  int fd_;
  std::string text_;
};

}  // namespace understudy::app
