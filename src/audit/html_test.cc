// The page in a real browser. Skips, with a message, where there is none.
#include <cstdlib>
#include <filesystem>

#include "audit/audit_test_util.h"

namespace understudy::audit {
namespace {

std::string find_browser() {
  for (const char* name : {"chromium", "chromium-browser", "google-chrome"}) {
    std::istringstream path(std::getenv("PATH") != nullptr ? std::getenv("PATH") : "");
    for (std::string dir; std::getline(path, dir, ':');) {
      if (::access((dir + "/" + name).c_str(), X_OK) == 0) return dir + "/" + name;
    }
  }
  return "";
}

/// Width and height from a PNG's header, and its size; zeros where it is none.
struct Image { unsigned width = 0, height = 0; std::size_t bytes = 0; };
Image read_png(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string data{std::istreambuf_iterator<char>(in), {}};
  if (data.size() < 24 || data.compare(1, 3, "PNG") != 0) return {};
  const auto number = [&](std::size_t at) {
    unsigned v = 0;
    for (std::size_t i = 0; i < 4; ++i) v = v << 8 | static_cast<unsigned char>(data[at + i]);
    return v;
  };
  return {number(16), number(20), data.size()};
}

TEST(HtmlReport, RendersInLightDarkAndNarrow) {
  const std::string browser = find_browser();
  if (browser.empty() && std::getenv("CI") != nullptr) FAIL() << "no Chromium: ./dev deps test installs it";
  if (browser.empty()) GTEST_SKIP() << "no Chromium on this machine (./dev deps test)";
  test::TempDir dir;
  const std::string page = dir.path() + "/report.html";
  ASSERT_EQ(test::audit({test::fixture("seed/seed_test3.jsonl.gz"), "--prices", test::fixture("seed/seed_prices.json"), "--html", page}).status, 0);
  struct Shot { const char* name; int width, height; const char* flag; };
  std::vector<std::string> images;
  for (const Shot& shot : {Shot{"light", 1000, 2200, ""}, Shot{"dark", 1000, 2200, "--force-dark-mode"}, Shot{"narrow", 400, 2800, ""}}) {
    const std::string image = dir.path() + "/" + shot.name + ".png";
    const std::string command = "timeout 60 " + browser + " --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking " +
                                "--disable-component-update --disable-sync --hide-scrollbars --user-data-dir=" + dir.path() + "/" + shot.name + " " + shot.flag +
                                " --window-size=" + std::to_string(shot.width) + "," + std::to_string(shot.height) + " --screenshot=" + image + " file://" + page +
                                " >" + dir.path() + "/log 2>&1";
    ASSERT_EQ(std::system(command.c_str()), 0) << "see the browser's log";
    const Image png = read_png(image);
    EXPECT_EQ(png.width, static_cast<unsigned>(shot.width));
    EXPECT_GT(png.bytes, 60'000u) << shot.name << " looks empty";
    std::ifstream in(image, std::ios::binary);
    images.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    if (const char* keep = std::getenv("UNDERSTUDY_SCREENSHOTS")) {
      std::filesystem::create_directories(keep);
      std::filesystem::copy_file(image, std::string(keep) + "/audit_" + shot.name + ".png", std::filesystem::copy_options::overwrite_existing);
    }
  }
  EXPECT_NE(images[0], images[1]) << "dark is not the same as light";
}

}  // namespace
}  // namespace understudy::audit
