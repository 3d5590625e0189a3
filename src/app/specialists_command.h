#pragma once
/// `understudy specialists list`, `show`, `compare`, `remove`, `recheck`: what a server would load, looked at without one.

namespace understudy::app {

int run_specialists_list_command(int argc, char** argv);
int run_specialists_show_command(int argc, char** argv);
int run_specialists_compare_command(int argc, char** argv);
int run_specialists_remove_command(int argc, char** argv);
int run_specialists_recheck_command(int argc, char** argv);

}  // namespace understudy::app
