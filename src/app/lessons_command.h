#pragma once

namespace understudy::app {

int run_lessons_list_command(int argc, char** argv);
int run_lessons_show_command(int argc, char** argv);
int run_lessons_retire_command(int argc, char** argv);
int run_lessons_export_command(int argc, char** argv);

}  // namespace understudy::app
