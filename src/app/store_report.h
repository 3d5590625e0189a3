#pragma once
#include <string>

#include "app/terminal.h"
#include "store/queries.h"
#include "store/store.h"

namespace understudy::app {

/// What `understudy store check` shows, and `understudy.store_check/1`.
std::string check_text(const store::CheckReport& report, const std::string& data, const TextStyle& style);
std::string check_json(const store::CheckReport& report, const std::string& data);

/// What `understudy store compact` shows, and `understudy.store_compact/1`.
std::string compact_text(const store::CompactReport& report, const std::string& data);
std::string compact_json(const store::CompactReport& report, const std::string& data);

}  // namespace understudy::app
