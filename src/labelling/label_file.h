#pragma once
/// What a teacher said and what it cost, kept by content (docs/formats/teacher-labels.md): JSON Lines that are only added to.
///
/// A line is written before each call, with the money set aside for it, and lines with its verdicts and its cost in one piece after it; each is on
/// disk before the work goes on. So a process that dies loses at most the calls under way, and their money counts as spent.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/money.h"
#include "chat/usage.h"
#include "labelling/question.h"

namespace understudy::labelling {

/// Of one row.
struct StoredLabel {
  std::optional<Verdict> verdict;  ///< nullopt: the teacher gave none that could be used, asked twice
  std::string why;                 ///< then
  std::string model;               ///< that said so
};

/// All of a file.
struct StoredLabels {
  std::unordered_map<std::string, StoredLabel> by_key;
  Picousd spent;                 ///< known costs, and what was set aside for calls that never ended
  std::uint64_t calls = 0;       ///< begun; their numbers are 1 to this
  std::uint64_t unpriced = 0;    ///< calls whose cost is not known
  std::uint64_t unsettled = 0;   ///< calls that never ended
  std::int64_t input_tokens = 0, output_tokens = 0;
  std::size_t whole_bytes = 0;   ///< of the text: behind it stands a line that was cut short
};

/// Reads a file's text. A last line without its end is left out. kCorrupt, with file and line.
Result<StoredLabels> parse_labels(std::string_view text, const std::string& file);

/// The file, open for one process. Not thread-safe.
class LabelFile {
 public:
  /// Makes it where it is not there. kIo; kConflict: another process has it open; kCorrupt.
  static Result<LabelFile> open(const std::filesystem::path& path);
  LabelFile(LabelFile&& other) noexcept : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), stored_(std::move(other.stored_)) {}
  LabelFile& operator=(LabelFile&&) = delete;
  ~LabelFile();

  const StoredLabels& stored() const { return stored_; }
  const std::filesystem::path& path() const { return path_; }
  const StoredLabel* find(const std::string& key) const;

  /// Before a call. @param reserved  nullopt: the price is not known. @return the call's number; kIo: do not call
  Result<std::uint64_t> begin(std::size_t rows, std::optional<Picousd> reserved);
  /// After it, with what it said of rows, by key. @param cost  nullopt: not known. kIo
  Result<void> end(std::uint64_t call, std::span<const std::pair<std::string, StoredLabel>> labels, const Usage& usage, std::optional<Picousd> cost);

 private:
  LabelFile(std::filesystem::path path, int fd, StoredLabels stored) : path_(std::move(path)), fd_(fd), stored_(std::move(stored)) {}
  Result<void> append(std::string_view lines);

  std::filesystem::path path_;
  int fd_ = -1;
  StoredLabels stored_;
  std::unordered_map<std::uint64_t, std::optional<Picousd>> open_;  // set aside, by call
};

}  // namespace understudy::labelling
