#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "app/terminal.h"

namespace understudy::app {

/// Rows printed in aligned columns, two spaces between them. Cells must be printable text on one line (terminal.h). Where the
/// style's width is too small, the columns that may shrink are cut, the widest first and none below 8 columns; the others are
/// never cut (an id must stay whole to be copied), so that a row may still be too wide.
class Table {
 public:
  enum class Align : std::uint8_t { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kLeft;
    bool may_shrink = false;
  };
  struct Cell {
    std::string text;
    Ink ink = Ink::kNone;
    Cell(std::string t, Ink i = Ink::kNone) : text(std::move(t)), ink(i) {}
    Cell(const char* t) : text(t) {}
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// As many cells as there are columns.
  void add(std::vector<Cell> cells);
  bool empty() const { return rows_.empty(); }

  /// Titles (left out where all are empty), then the rows, each line with `indent` spaces before and none behind it.
  std::string render(const TextStyle& style, std::size_t indent = 0) const;

 private:
  std::vector<std::size_t> widths(const TextStyle& style, std::size_t indent) const;

  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace understudy::app
