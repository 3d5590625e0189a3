#include "app/command.h"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <new>
#include <system_error>
#include <vector>

#include "app/output.h"
#include "base/nearest.h"

namespace understudy::app {
namespace {

const Command* find_command(std::span<const Command> commands, std::string_view name) {
  const auto found = std::find_if(commands.begin(), commands.end(), [&](const Command& c) { return c.name == name; });
  return found == commands.end() ? nullptr : &*found;
}

/// Commands of two words that begin with `word`.
std::vector<const Command*> commands_below(std::span<const Command> commands, std::string_view word) {
  std::vector<const Command*> below;
  for (const Command& command : commands) {
    if (command.name.starts_with(word) && command.name.size() > word.size() && command.name[word.size()] == ' ')
      below.push_back(&command);
  }
  return below;
}

std::string lines_of(std::span<const Command* const> commands, std::size_t name_width) {
  std::string out;
  for (const Command* command : commands) out += fmt::format("  {:<{}}  {}\n", command->name, name_width, command->summary);
  return out;
}

std::size_t longest_name(std::span<const Command> commands) {
  std::size_t width = 0;
  for (const Command& command : commands) width = std::max(width, command.name.size());
  return width;
}

/// Where in a command line a command was found.
struct Found {
  const Command* command = nullptr;
  int words = 0;  ///< how many arguments its name took
};

Found find_in(std::span<const Command> commands, std::span<char* const> args) {
  if (args.size() >= 2) {
    if (const Command* two = find_command(commands, fmt::format("{} {}", args[0], args[1]))) return {two, 2};
  }
  if (const Command* one = find_command(commands, args[0])) return {one, 1};
  return {};
}

int run_command(const Command& command, std::span<char* const> args) {
  std::string name = fmt::format("understudy {}", command.name);
  std::vector<char*> argv{name.data()};
  argv.insert(argv.end(), args.begin(), args.end());
  argv.push_back(nullptr);
  try {
    return command.run(static_cast<int>(argv.size()) - 1, argv.data());
  } catch (const std::system_error& error) {
    if (error.code() == std::errc::broken_pipe) return kExitDone;
    print_error(fmt::format("{}: {}", name, error.what()));
  } catch (const std::bad_alloc&) {
    print_error(fmt::format("{}: out of memory", name));
  } catch (const std::exception& error) {
    print_error(fmt::format("{}: {} (unexpected: please report this, with the command line)", name, error.what()));
  } catch (...) {
    print_error(fmt::format("{}: failed in an unexpected way: please report this, with the command line", name));
  }
  return kExitBadInput;
}

int show_help(std::span<const Command> commands, std::span<char* const> args);

/// The command that `args` begin with, or what is wrong with them.
int run_named(std::span<const Command> commands, std::span<char* const> args, bool only_help) {
  static char help_flag[] = "--help";
  if (const Found found = find_in(commands, args); found.command != nullptr) {
    char* const help_args[] = {help_flag};
    return run_command(*found.command,
                       only_help ? std::span<char* const>(help_args) : args.subspan(static_cast<std::size_t>(found.words)));
  }
  const std::string_view word = args[0];
  if (const auto below = commands_below(commands, word); !below.empty()) {
    const std::string list = lines_of(below, longest_name(commands));
    const std::string_view second = args.size() > 1 ? std::string_view(args[1]) : std::string_view();
    if (only_help || second == "--help" || second == "-h") return print_output(list);
    std::vector<std::string_view> names;
    for (const Command* command : below) names.push_back(command->name.substr(word.size() + 1));
    if (second.empty() || second.starts_with('-')) {
      print_error(fmt::format("understudy {}: say what to do:\n{}", word, list));
    } else {
      print_error(
          fmt::format("understudy {0}: there is no \"{0} {1}\"{2}\n{3}", word, second, did_you_mean(second, names), list));
    }
    return kExitBadInput;
  }
  std::vector<std::string_view> names;
  for (const Command& command : commands) names.push_back(command.name);
  print_error(fmt::format("understudy: there is no command \"{}\"{}\nAll commands: understudy --help\n", word,
                          did_you_mean(word, names)));
  return kExitBadInput;
}

int show_help(std::span<const Command> commands, std::span<char* const> args) {
  if (args.empty()) return print_output(help_text(commands, stdout_style()));
  return run_named(commands, args, true);
}

}  // namespace

std::string help_text(std::span<const Command> commands, const TextStyle& style) {
  std::string out = paint(style, Ink::kBold, "understudy") +
                    ": a gateway between an application and its models. A cheap student answers, the teacher\n"
                    "only when the student's confidence is low, and everything is recorded.\n\n"
                    "Usage: understudy COMMAND [ARGUMENTS]      understudy help COMMAND\n";
  const std::size_t width = longest_name(commands);
  std::string_view group;
  for (const Command& command : commands) {
    if (command.group != group) {
      group = command.group;
      out += "\n" + paint(style, Ink::kBold, group) + "\n";
    }
    const Command* row = &command;
    out += lines_of({&row, 1}, width);
  }
  out += "\n" + paint(style, Ink::kBold, "Examples") +
         "\n"
         "  understudy demo\n"
         "  understudy serve --student ollama:qwen2.5:0.5b --teacher openai:gpt-4o-mini\n"
         "  understudy escalations --since 1d\n";
  return out;
}

int run_program(std::span<const Command> commands, int argc, char** argv) {
  const std::span<char* const> args(argv + std::min(argc, 1), static_cast<std::size_t>(std::max(argc - 1, 0)));
  if (args.empty()) return show_help(commands, {});
  const std::string_view first = args[0];
  if (first == "help" || first == "--help" || first == "-h") return show_help(commands, args.subspan(1));
  if (first == "--version" || first == "-V") {
    if (const Command* version = find_command(commands, "version")) return run_command(*version, args.subspan(1));
  }
  return run_named(commands, args, false);
}

}  // namespace understudy::app
