#include "app/model_spec.h"

#include <fmt/format.h>

#include <array>
#include <vector>

#include "base/nearest.h"

namespace understudy::app {
namespace {

constexpr std::array kProviders{
    KnownProvider{"openai", "https://api.openai.com/v1", "OPENAI_API_KEY"},
    KnownProvider{"openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"},
    KnownProvider{"groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY"},
    KnownProvider{"mistral", "https://api.mistral.ai/v1", "MISTRAL_API_KEY"},
    KnownProvider{"deepseek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY"},
    KnownProvider{"together", "https://api.together.xyz/v1", "TOGETHER_API_KEY"},
    KnownProvider{"fireworks", "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY"},
    KnownProvider{"xai", "https://api.x.ai/v1", "XAI_API_KEY"},
    KnownProvider{"ollama", "http://127.0.0.1:11434/v1", ""},
    KnownProvider{"vllm", "http://127.0.0.1:8000/v1", ""},
    KnownProvider{"llamacpp", "http://127.0.0.1:8080/v1", ""},
};

}  // namespace

const KnownProvider* find_provider(std::string_view name) {
  for (const KnownProvider& provider : kProviders) {
    if (provider.name == name) return &provider;
  }
  return nullptr;
}

Result<ModelSpec> parse_model_spec(std::string_view text) {
  const std::string example = "write PROVIDER:MODEL, e.g. openai:gpt-4o-mini, or URL#MODEL, e.g. http://127.0.0.1:8000/v1#my-model";
  ModelSpec spec;
  if (text.starts_with("http://") || text.starts_with("https://")) {
    const std::size_t hash = text.rfind('#');
    if (hash == std::string_view::npos || hash + 1 == text.size()) {
      return fail(ErrorKind::kUsage, fmt::format("'{}' names no model: put it behind a #, e.g. {}#my-model", text, text.substr(0, hash)));
    }
    spec.provider = "custom";
    spec.url = text.substr(0, hash);
    spec.model = text.substr(hash + 1);
    return spec;
  }
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0 || colon + 1 == text.size()) {
    return fail(ErrorKind::kUsage, fmt::format("'{}' is not a model: {}", text, example));
  }
  const std::string_view name = text.substr(0, colon);
  if (name == "anthropic") {
    return fail(ErrorKind::kUnsupported, "anthropic: models cannot be called in this version; use an OpenAI-type endpoint for them, e.g. openrouter:anthropic/MODEL");
  }
  const KnownProvider* provider = find_provider(name);
  if (provider == nullptr) {
    std::vector<std::string_view> names;
    for (const KnownProvider& known : kProviders) names.push_back(known.name);
    return fail(ErrorKind::kUsage, fmt::format("provider '{}' is not known{}; known are {}; or {}", name, did_you_mean(name, names), fmt::join(names, ", "), example));
  }
  spec.provider = name;
  spec.url = provider->url;
  spec.key_env = provider->key_env;
  spec.model = text.substr(colon + 1);
  return spec;
}

}  // namespace understudy::app
