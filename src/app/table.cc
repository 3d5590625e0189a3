#include "app/table.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace understudy::app {
namespace {

constexpr std::size_t kGap = 2;
constexpr std::size_t kLeastShrunk = 8;

}  // namespace

void Table::add(std::vector<Cell> cells) {
  UNDERSTUDY_ASSERT(cells.size() == columns_.size());
  rows_.push_back(std::move(cells));
}

std::vector<std::size_t> Table::widths(const TextStyle& style, std::size_t indent) const {
  std::vector<std::size_t> widths;
  std::size_t total = indent;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t width = display_width(columns_[i].title);
    for (const auto& row : rows_) width = std::max(width, display_width(row[i].text));
    widths.push_back(width);
    total += width + (i > 0 ? kGap : 0);
  }
  while (style.width > 0 && total > style.width) {
    std::size_t* widest = nullptr;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      if (columns_[i].may_shrink && widths[i] > kLeastShrunk && (widest == nullptr || widths[i] > *widest)) widest = &widths[i];
    }
    if (widest == nullptr) break;
    --*widest;
    --total;
  }
  return widths;
}

std::string Table::render(const TextStyle& style, std::size_t indent) const {
  const std::vector<std::size_t> width = widths(style, indent);
  std::string out;
  const auto line = [&](auto&& text_of, auto&& ink_of) {
    std::string row(indent, ' ');
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const std::string text = truncate(text_of(i), width[i]);
      const std::size_t space = width[i] - std::min(width[i], display_width(text));
      const bool right = columns_[i].align == Align::kRight;
      if (i > 0) row.append(kGap, ' ');
      if (right) row.append(space, ' ');
      row += paint(style, ink_of(i), text);
      if (!right) row.append(space, ' ');
    }
    row.erase(row.find_last_not_of(' ') + 1);
    out += row + "\n";
  };
  if (std::any_of(columns_.begin(), columns_.end(), [](const Column& c) { return !c.title.empty(); })) {
    line([&](std::size_t i) -> std::string_view { return columns_[i].title; }, [](std::size_t) { return Ink::kDim; });
  }
  for (const auto& row : rows_) {
    line([&](std::size_t i) -> std::string_view { return row[i].text; }, [&](std::size_t i) { return row[i].ink; });
  }
  return out;
}

}  // namespace understudy::app
