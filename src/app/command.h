#pragma once
/// The program's table of subcommands and what is common to all of them: finding one, help, and errors that nobody caught.

#include <span>
#include <string>
#include <string_view>

#include "app/terminal.h"

namespace understudy::app {

/// Exit statuses of every command.
inline constexpr int kExitDone = 0;
inline constexpr int kExitGateFailed = 1;  ///< the command worked and its verdict is "no"
inline constexpr int kExitBadInput = 2;    ///< wrong flags, wrong input, or something named is not there
inline constexpr int kExitIncomplete = 3;  ///< ended before everything was done

struct Command {
  std::string_view name;              ///< one word ("status") or two ("store check")
  std::string_view group;             ///< heading in the overview; commands of one group stand together in the table
  std::string_view summary;           ///< one line
  int (*run)(int argc, char** argv);  ///< argv[0] is "understudy NAME"; returns the exit status
};

/// The overview: groups in table order, one line a command, three examples.
std::string help_text(std::span<const Command> commands, const TextStyle& style);

/// `understudy NAME ARGS...`: finds the command and runs it. Answers `help [NAME]`, `--help` and `--version` itself (the last by
/// running "version"). An unknown name is refused with the nearest one. Whatever a command throws becomes one line on
/// standard error and kExitBadInput; a reader of our output that went away (`| head`) is no error.
int run_program(std::span<const Command> commands, int argc, char** argv);

}  // namespace understudy::app
