#pragma once
/// Commands of specialists that read two texts, in a folder of their own.

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "app/test_support.h"

namespace understudy::app {

class PairCommands : public testing::Test {
 protected:
  PairCommands(CommandFunction command, std::string name) : train_(command), name_(std::move(name)) {
    std::string folder = (fs::temp_directory_path() / ("understudy-" + name_ + "-XXXXXX")).string();
    root_ = ::mkdtemp(folder.data());
  }
  ~PairCommands() override { fs::remove_all(root_); }
  std::string path(const char* name) const { return (root_ / name).string(); }
  /// On rows.jsonl, by words alone, into the folder "made".
  Outcome train(const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"--data", path("rows.jsonl"), "--out", path("made"), "--encoder", "off"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(train_, "understudy train " + name_, arguments);
  }

  static constexpr std::array kThings = {"lantern", "harbour", "violin", "glacier", "compass"};
  fs::path root_;

 private:
  CommandFunction train_;
  std::string name_;
};

}  // namespace understudy::app
