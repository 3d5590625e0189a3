#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "providers/breaker.h"

namespace understudy::providers {

enum class Api : std::uint8_t { kOpenai, kRecorded, kScripted };

/// What a model's answers can carry, found by a probe at start and every hour.
enum class LogprobSupport : std::uint8_t {
  kUnknown,  ///< not probed yet, or the upstream could not be reached: logprobs are asked for
  kFull,     ///< chosen tokens and alternatives
  kTopN,     ///< fewer alternatives than asked for, or none: chosen tokens only
  kNone,     ///< no logprobs came: not asked for any more, and no confidence from them
};
std::string_view logprob_support_name(LogprobSupport support);

/// Found while running, shared by all reactors.
struct ModelState {
  std::atomic<LogprobSupport> logprobs{LogprobSupport::kUnknown};
  Breaker breaker;
};

struct ModelConfig {
  std::string name;            ///< configured name, e.g. "student"
  Api api = Api::kOpenai;
  std::string provider;        ///< for prices and records: "openai", "ollama", ... or "custom"
  std::string url;             ///< base URL up to and including "/v1" where the server has it; a file for kRecorded
  std::string upstream_model;  ///< as sent upstream
  std::string key;             ///< secret; "" where none is sent
  bool key_from_client = false;
  std::int64_t connect_timeout_ms = 5'000; ///< name, TCP and TLS together
  std::int64_t idle_timeout_ms = 120'000;  ///< silence inside an answer
  std::int64_t timeout_ms = 300'000;       ///< of the whole call, its retries included
  std::shared_ptr<ModelState> state = std::make_shared<ModelState>();
};

}  // namespace understudy::providers
