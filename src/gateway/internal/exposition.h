#pragma once
/// Prometheus text, written metric by metric.

#include <fmt/format.h>

#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "monitors/rechecker.h"

namespace understudy::gateway::internal {

class Exposition {
 public:
  void head(std::string_view name, std::string_view type, std::string_view help) {
    fmt::format_to(std::back_inserter(out_), "# HELP understudy_{0} {2}\n# TYPE understudy_{0} {1}\n", name, type, help);
  }
  template <typename V>
  void value(std::string_view name, std::string_view labels, V v) {
    fmt::format_to(std::back_inserter(out_), "understudy_{}{} {}\n", name, labels.empty() ? "" : fmt::format("{{{}}}", labels), v);
  }
  template <typename V>
  void counter(std::string_view name, std::string_view help, V v) {
    head(name, "counter", help);
    value(name, "", v);
  }
  template <typename V>
  void gauge(std::string_view name, std::string_view help, V v) {
    head(name, "gauge", help);
    value(name, "", v);
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

/// A label's value, as the text format wants it.
inline std::string label(std::string_view name, std::string_view value) {
  std::string out = fmt::format("{}=\"", name);
  for (const char c : value) {
    if (c == '\\' || c == '"') out.push_back('\\');
    if (c == '\n') {
      out += "\\n";
    } else {
      out.push_back(c);
    }
  }
  return out + '"';
}

/// Of each specialist that is rechecked. What the last one says has no sample before the first.
void recheck_figures(Exposition& out, const std::vector<monitors::RecheckReport>& reports);

}  // namespace understudy::gateway::internal
