// DATA/rechecks: what a recheck needs to go on after a restart.
#include <fcntl.h>
#include <fmt/format.h>
#include <simdjson.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/json_writer.h"
#include "base/log.h"
#include "base/time_format.h"
#include "monitors/rechecker.h"

namespace understudy::monitors {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kSchema = "understudy.recheck-state/1";

Result<void> write_whole(const fs::path& path, std::string_view text) {
  const fs::path part = path.string() + ".part";
  const int fd = ::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  bool good = fd >= 0 && ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
  int why = errno;
  if (fd >= 0) ::close(fd);
  if (good && ::rename(part.c_str(), path.c_str()) != 0) {
    good = false;
    why = errno;
  }
  if (!good) return fail(ErrorKind::kIo, fmt::format("{} cannot be written: {}", path.string(), std::strerror(why)));
  return {};
}

std::optional<WallTime> time_at(simdjson::dom::element root, std::string_view key) {
  std::string_view text;
  if (root[key].get(text)) return std::nullopt;
  const auto time = parse_rfc3339(text);
  return time ? std::optional(*time) : std::nullopt;
}

}  // namespace

fs::path Rechecker::asked_file(const std::string& name, std::uint64_t seed) const { return options_.data / "rechecks" / fmt::format("{}-{}.asked", name, seed); }

Rechecker::State Rechecker::load(const std::string& name) const {
  State state;
  const fs::path path = options_.data / "rechecks" / (name + ".json");
  const std::string text = file_text(path);
  if (text.empty()) return state;
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  std::string_view schema;
  if (parser.parse(text).get(root) || root["schema"].get(schema) || schema != kSchema) {
    log::warn("{} cannot be read and is written anew: the recheck of '{}' begins again", path.string(), name);
    return state;
  }
  state.last = time_at(root, "last");
  state.begun = time_at(root, "begun");
  if (root["seed"].get(state.seed)) state.begun.reset();
  return state;
}

Result<void> Rechecker::save(const std::string& name, const State& state) const {
  const fs::path folder = options_.data / "rechecks";
  std::error_code code;
  fs::create_directories(folder, code);
  if (code) return fail(ErrorKind::kIo, fmt::format("{} cannot be made: {}", folder.string(), code.message()));
  std::string text;
  JsonWriter w(text);
  w.begin_object().field("schema", kSchema);
  for (const auto& [key, time] : {std::pair{"last", state.last}, {"begun", state.begun}}) {
    w.key(key);
    if (time) w.string(format_rfc3339(*time));
    else w.null();
  }
  w.field("seed", state.seed).end_object();
  return write_whole(folder / (name + ".json"), text + "\n");
}

}  // namespace understudy::monitors
