#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace understudy::app {

/// A provider that can be named by one word.
struct KnownProvider {
  std::string_view name;
  std::string_view url;       ///< base URL; "" where the user must give it
  std::string_view key_env;   ///< usual key variable; "" where none is needed
};
const KnownProvider* find_provider(std::string_view name);

/// A model on the command line or in a file: `PROVIDER:MODEL` or `URL#MODEL`.
struct ModelSpec {
  std::string provider;   ///< "custom" for a URL
  std::string url;
  std::string model;
  std::string key_env;    ///< the provider's usual one; "" where none
};

/// kUsage with what is wrong and an example; unknown providers with the nearest known one.
Result<ModelSpec> parse_model_spec(std::string_view text);

}  // namespace understudy::app
