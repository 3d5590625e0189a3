#include "app/explain_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "app/command_line.h"
#include "app/explain_report.h"
#include "app/nearest.h"
#include "app/output.h"
#include "base/clock.h"
#include "base/ids.h"

namespace understudy::app {
namespace {

/// How many of the latest requests are looked through for an id like the one that was typed.
constexpr std::uint32_t kLookedThrough = 2000;

Error not_found(store::StoreReader& reader, const std::string& id, const std::string& data) {
  store::RequestFilter filter;
  filter.limit = kLookedThrough;
  std::string near;
  if (const auto page = reader.requests(filter)) {
    if (page->requests.empty()) return {ErrorKind::kNotFound, fmt::format("no request is recorded in {} yet", data)};
    std::vector<std::string_view> ids;
    for (const store::RequestRecord& request : page->requests) ids.push_back(request.request_id);
    near = did_you_mean(id, ids);
  }
  return {ErrorKind::kNotFound, fmt::format("no request \"{}\" is recorded in {}{} The reply's x-request-id header names it; "
                                            "`understudy requests --data {}` lists the latest.",
                                            printable(id), data, near.empty() ? "." : near, data)};
}

Result<store::RequestDetail> find_request(const StoreArguments& arguments, const std::string& id) {
  if (!is_acceptable_request_id(id)) {
    return fail(ErrorKind::kUsage,
                fmt::format("\"{}\" cannot be a request id: those are 1 to 128 visible ASCII characters, such as req_01K4...",
                            printable(id)));
  }
  auto reader = open_reader(arguments);
  if (!reader) return fail(reader.error());
  auto detail = reader->request(id);
  if (!detail && detail.error().kind == ErrorKind::kNotFound) return fail(not_found(*reader, id, arguments.data));
  return detail;
}

}  // namespace

int run_explain_command(int argc, char** argv) {
  CLI::App cli("Why one request was served as it was: decision, attempts with their features, costs, labels, texts.");
  StoreArguments arguments;
  std::string id;
  bool full = false;
  cli.add_option("REQUEST_ID", id, "The reply's x-request-id")->required();
  add_store_arguments(cli, arguments);
  cli.add_flag("--full", full, "Whole texts instead of one line of each");
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  const auto detail = find_request(arguments, id);
  if (!detail) return report_error(argv[0], detail.error(), arguments.json);
  return print_output(arguments.json ? explain_json(*detail)
                                     : explain_text(*detail, system_clock().wall(), full, stdout_style()));
}

}  // namespace understudy::app
