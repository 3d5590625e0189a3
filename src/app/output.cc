#include "app/output.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "app/command.h"
#include "base/json_writer.h"

namespace understudy::app {

int print_output(std::string_view text, int status) {
  std::fflush(stdout);
  while (!text.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EPIPE) {
      return status;
    } else if (errno != EINTR) {
      print_error(std::string("understudy: cannot write to standard output: ") + std::strerror(errno));
      return kExitIncomplete;
    }
  }
  return status;
}

void print_error(std::string_view message) {
  std::string line(message);
  if (!line.ends_with('\n')) line += '\n';
  std::fwrite(line.data(), 1, line.size(), stderr);
}

int report_error(std::string_view command, const Error& error, bool json) {
  print_error(std::string(command) + ": " + error.message);
  if (json) {
    std::string out;
    JsonWriter w(out);
    w.begin_object();
    w.field("schema", "understudy.error/1").field("kind", error_info(error.kind).label).field("message", error.message);
    w.end_object();
    print_output(out + "\n");
  }
  return kExitBadInput;
}

}  // namespace understudy::app
