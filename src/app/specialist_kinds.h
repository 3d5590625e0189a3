#pragma once
/// Which kinds of specialists the commands know. Those that read two texts share pair_command.h; a further one is an entry here.

#include <optional>
#include <string>
#include <string_view>

namespace understudy::app {

/// What the commands do with a kind's folder. Each function returns the exit status.
struct SpecialistKind {
  std::string_view name;  ///< "kind" of specialist.json
  std::string_view task;  ///< "task" there; empty: any other, or none
  int (*predict)(const std::string& folder, const std::string& data, const std::optional<std::string>& split, const char* program);
  int (*evaluate)(const std::string& folder, const std::string& data, const std::optional<std::string>& split, const std::string& before, bool json, const char* program);
  const char* nothing_to_quantise;  ///< why `quantize` refuses it
};

/// `kind` of the folder's specialist.json; "intent" where it cannot be read: opening it says what is wrong.
std::string kind_of(const std::string& folder);

/// `task` there: of judges "faithfulness", "score" or "preference"; "" where it has none or cannot be read.
std::string task_of_folder(const std::string& folder);

/// The folder's kind; null: intent, which has commands of its own (specialist_command.cc), or one that is not known.
const SpecialistKind* pair_kind_of(const std::string& folder);

}  // namespace understudy::app
