#pragma once

namespace understudy::app {

/// `understudy tasks [--data DIR | --url URL] [--json]`.
int run_tasks_command(int argc, char** argv);
/// `understudy tasks show T`.
int run_tasks_show_command(int argc, char** argv);
/// `understudy tasks pin T teacher|auto`.
int run_tasks_pin_command(int argc, char** argv);

}  // namespace understudy::app
