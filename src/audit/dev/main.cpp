// The audit alone, for trying it and for its benchmark; the product's program calls the same function.
#include <unistd.h>

#include <iostream>

#include "audit/command.h"

int main(int argc, char** argv) {
  return understudy::audit::run_audit_command(argc, argv, std::cout, std::cerr,
                                              {{}, isatty(STDERR_FILENO) == 1, isatty(STDOUT_FILENO) == 1});
}
