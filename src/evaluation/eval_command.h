#pragma once
#include <cstdio>
#include <string>
#include <vector>

namespace understudy::evaluation {

/// `understudy eval PROTOCOL FILE ...`. @param arguments what follows "eval" on the command line
/// @return 0 when it measured, also when nothing may be served; 2 for bad usage or input, with a sentence on `err`
int run_eval_command(const std::vector<std::string>& arguments, std::FILE* out, std::FILE* err);

}  // namespace understudy::evaluation
