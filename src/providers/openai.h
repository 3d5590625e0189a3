#pragma once
#include <memory>

#include "net/client.h"
#include "providers/provider.h"

namespace understudy::providers {

/// Chat completions of any OpenAI-type server (OpenAI, vLLM, llama.cpp, Ollama, OpenRouter, LiteLLM, Azure) over the
/// reactor's connection pool. kConfig where the model's URL cannot be used.
Result<std::unique_ptr<Provider>> make_openai_provider(net::ClientPool& pool, const ModelConfig& model);

}  // namespace understudy::providers
