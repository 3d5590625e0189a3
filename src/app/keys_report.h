#pragma once
/// What the keys commands say, as text and JSON (docs/formats/cli-json.md). Pure.

#include <string>
#include <vector>

#include "app/terminal.h"
#include "base/clock.h"
#include "gateway/key_ring.h"

namespace understudy::app {

/// A key with the secret that was made for it, which nobody will see again.
struct MadeKey {
  gateway::ApiKey key;
  std::string secret;
  bool rotated = false;           ///< else the key is new
  bool first = false;             ///< the file had no keys before
  bool nobody_is_admin = false;
};

std::string made_key_json(const MadeKey& made, const std::string& config);
/// What is to be known beside the secret: where it went, and how a running gateway takes it over.
std::string made_key_notes(const MadeKey& made, const std::string& config);

std::string keys_json(const std::vector<gateway::ApiKey>& keys, const std::string& config, WallTime now);
std::string keys_text(const std::vector<gateway::ApiKey>& keys, const std::string& config, WallTime now, const TextStyle& style);

std::string revoked_json(const std::string& name, std::size_t left, const std::string& config);
std::string revoked_text(const std::string& name, std::size_t left, const std::string& config);

}  // namespace understudy::app
