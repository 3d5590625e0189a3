#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "base/error.h"

namespace understudy {
namespace {

// "| `a` | 1 | null | ..." to {"a", "1", "", ...}
std::vector<std::string> cells(const std::string& row) {
  std::vector<std::string> out;
  for (std::size_t start = 1; start < row.size();) {
    const std::size_t end = std::min(row.find('|', start), row.size());
    std::string cell = row.substr(start, end - start);
    std::erase(cell, '`');
    cell.erase(0, cell.find_first_not_of(' '));
    cell.erase(cell.find_last_not_of(' ') + 1);
    out.push_back(cell == "null" ? "" : cell);
    start = end + 1;
  }
  return out;
}

TEST(ErrorDocs, ThePageHoldsTheTableOfTheCode) {
  std::ifstream page(UNDERSTUDY_SOURCE_DIR "/docs/operate/errors.md");
  ASSERT_TRUE(page) << "docs/operate/errors.md cannot be read";
  std::vector<std::vector<std::string>> rows;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("| `")) rows.push_back(cells(line));
  }
  ASSERT_EQ(rows.size(), error_table().size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const ErrorInfo& info = error_table()[i];
    ASSERT_EQ(rows[i].size(), 7u) << rows[i][0];
    EXPECT_EQ(rows[i][0], info.label);
    EXPECT_EQ(rows[i][1], std::to_string(info.http_status)) << info.label;
    EXPECT_EQ(rows[i][2], info.type) << info.label;
    EXPECT_EQ(rows[i][3], info.code) << info.label;
    EXPECT_EQ(rows[i][4], info.retryable ? "yes" : "no") << info.label;
    EXPECT_FALSE(rows[i][5].empty()) << info.label;
    EXPECT_FALSE(rows[i][6].empty()) << info.label;
  }
}

}  // namespace
}  // namespace understudy
