#pragma once
/// The filters of `requests`, `escalations` and `escalations export` on the command line.

#include <string>
#include <utility>
#include <vector>

#include "app/command_line.h"
#include "app/queries.h"

namespace understudy::app {

/// As they were typed.
struct ListArguments : ListFilters {
  StoreArguments store;
};

/// Declares the filters, --data, --json, --url, --limit and --after; with `escalations` also those on answers and labels.
void add_list_arguments(CLI::App& cli, ListArguments& arguments, bool escalations);

/// The filters as query parameters of the admin API, without those of a page (limit, after).
std::vector<std::pair<std::string, std::string>> filter_parameters(const ListArguments& arguments);

/// The same as words of a command line behind `name`, quoted for a shell, with --data or --url.
std::string filter_command(const char* name, const ListArguments& arguments);

}  // namespace understudy::app
