#include "providers/factory.h"

#include "providers/openai.h"
#include "providers/recorded.h"
#include "providers/scripted.h"

namespace understudy::providers {

Result<std::unique_ptr<Provider>> make_provider(net::ClientPool& pool, const ModelConfig& model) {
  switch (model.api) {
    case Api::kOpenai: return make_openai_provider(pool, model);
    case Api::kRecorded: {
      auto recording = Recording::load({model.url});
      if (!recording) return fail(std::move(recording.error()));
      return make_recorded_provider(pool.reactor(), std::move(*recording), model.upstream_model);
    }
    case Api::kScripted: {
      auto script = load_script(model.url, model.upstream_model);
      if (!script) return fail(std::move(script.error()));
      return make_scripted_provider(pool.reactor(), std::move(*script));
    }
  }
  return fail(ErrorKind::kInternal, "unknown api");
}

}  // namespace understudy::providers
