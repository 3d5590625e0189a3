#pragma once
/// A recheck for people. Pure.

#include <string>

#include "monitors/recheck.h"

namespace understudy::app {

std::string recheck_text(const monitors::Recheck& recheck);

}  // namespace understudy::app
