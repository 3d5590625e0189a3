#pragma once
/// What the specialists commands say, as text and JSON (docs/formats/cli-json.md). Pure.

#include <optional>
#include <string>
#include <vector>

#include "app/terminal.h"
#include "base/error.h"
#include "monitors/recheck.h"
#include "specialists/registry.h"

namespace understudy::app {

/// A folder, read or not.
struct ListedSpecialist {
  std::string name, folder;
  specialists::SpecialistPtr specialist;   ///< null: `error` says why
  std::string error;
  std::vector<std::string> tasks;          ///< that it is bound to
  std::optional<monitors::Recheck> recheck;   ///< the last one of its history
};

std::string specialists_json(const std::vector<ListedSpecialist>& all, const std::string& directory);
std::string specialists_text(const std::vector<ListedSpecialist>& all, const std::string& directory, const TextStyle& style);

std::string specialist_json(const ListedSpecialist& one);
std::string specialist_text(const ListedSpecialist& one, const TextStyle& style);

/// Two specialists on the same labelled rows.
struct Comparison {
  struct Side {
    double accuracy = 0, ece15 = 0;
    double served_at_5 = 0;   ///< share that could be served with at most 5 % wrong, 90 % sure
  };
  std::string file;
  std::size_t rows = 0, same = 0;                  ///< same: both gave one answer
  std::size_t only_first = 0, only_second = 0;     ///< right
  Side first, second;
  /// Chance of a difference in right answers at least as large if both were as good (exact sign test, two-sided).
  double p_value() const;
};
std::string comparison_json(const ListedSpecialist& first, const ListedSpecialist& second, const std::optional<Comparison>& rows);
std::string comparison_text(const ListedSpecialist& first, const ListedSpecialist& second, const std::optional<Comparison>& rows, const TextStyle& style);

}  // namespace understudy::app
