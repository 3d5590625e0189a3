#pragma once
#include <string>
#include <string_view>

#include "app/terminal.h"

namespace understudy::app {

/// Lines "  name      text" of a report, the text wrapped behind the name.
class Section {
 public:
  static constexpr std::size_t kNameWidth = 12;
  static constexpr std::size_t kIndent = 2;

  explicit Section(const TextStyle& style) : style_(style) {}

  /// Nothing where `text` is "".
  void line(std::string_view name, const std::string& text) {
    if (text.empty()) return;
    const std::string label = pad_right(name, kNameWidth);
    const std::string wrapped = wrap(std::string(kIndent, ' ') + label + text, style_.width, kIndent + kNameWidth);
    out_ += std::string(kIndent, ' ') + paint(style_, Ink::kDim, label) + wrapped.substr(kIndent + label.size()) + "\n";
  }
  /// "  * text", wrapped.
  void point(const std::string& text) { out_ += wrap("  * " + text, style_.width, 4) + "\n"; }
  std::string take() { return std::move(out_); }

 private:
  const TextStyle& style_;
  std::string out_;
};

}  // namespace understudy::app
