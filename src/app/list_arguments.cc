#include "app/list_arguments.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <optional>
#include <span>

namespace understudy::app {
namespace {

/// One filter by its flag; the API's parameter has "_" for "-".
struct FilterFlag {
  const char* flag;
  std::optional<std::string> ListFilters::*value;
  const char* help;
  bool of_escalations = false;
};

constexpr FilterFlag kFilters[] = {
    {"task", &ListFilters::task, "Only this task (\"\": requests without one)"},
    {"tenant", &ListFilters::tenant, "Only this tenant"},
    {"session", &ListFilters::session, "Only this session"},
    {"since", &ListFilters::since, "Finished since then: 30m, 12h, 7d ago, or a time (2026-05-11, 2026-05-11T08:00:00Z)"},
    {"until", &ListFilters::until, "Finished before then: an age or a time, too"},
    {"served-by", &ListFilters::served_by, "Only those that this stage served: cache, knn, specialist, student, teacher"},
    {"reason", &ListFilters::reason, "Only with this reason (x-understudy-reason), such as below_threshold"},
    {"stage", &ListFilters::stage, "Only those for which this stage was asked", true},
    {"rung", &ListFilters::rung, "Only those for which the rung of this name was asked", true},
    {"agrees", &ListFilters::agrees, "yes or no: only those whose cheap answer was compared with the teacher's, with this outcome", true},
};

std::string quoted(const std::string& text) {
  const bool plain = !text.empty() && text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+./:,=@%") == std::string::npos;
  if (plain) return text;
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace

void add_list_arguments(CLI::App& cli, ListArguments& arguments, bool escalations) {
  add_store_arguments(cli, arguments.store);
  add_gateway_arguments(cli, arguments.store);
  for (const FilterFlag& filter : kFilters) {
    if (filter.of_escalations && !escalations) continue;
    cli.add_option(fmt::format("--{}", filter.flag), arguments.*filter.value, filter.help);
  }
  cli.add_option("--after,--cursor", arguments.cursor, "Go on behind a page: its \"next\"");
}

std::vector<std::pair<std::string, std::string>> filter_parameters(const ListArguments& arguments) {
  std::vector<std::pair<std::string, std::string>> query;
  for (const FilterFlag& filter : kFilters) {
    const auto& value = arguments.*filter.value;
    if (!value) continue;
    std::string name = filter.flag;
    std::replace(name.begin(), name.end(), '-', '_');
    query.emplace_back(std::move(name), *value);
  }
  return query;
}

std::string filter_command(const char* name, const ListArguments& arguments) {
  const bool remote = !arguments.store.url.empty();
  std::string line = fmt::format("{} {} {}", name, remote ? "--url" : "--data", quoted(remote ? arguments.store.url : arguments.store.data));
  for (const FilterFlag& filter : kFilters) {
    const auto& value = arguments.*filter.value;
    if (value) line += fmt::format(" --{} {}", filter.flag, quoted(*value));
  }
  return line;
}

}  // namespace understudy::app
