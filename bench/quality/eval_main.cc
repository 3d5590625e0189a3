// `understudy eval` alone, for work on this module: the program proper calls the same entry.
#include "evaluation/eval_command.h"

int main(int argc, char** argv) { return understudy::evaluation::run_eval_command({argv + 1, argv + argc}, stdout, stderr); }
