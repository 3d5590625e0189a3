// A bound specialist on a request's way.
#include "cascade/internal/flow.h"
#include "specialists/intent_specialist.h"

namespace understudy::cascade {
namespace {

/// Whether the client asked for JSON: other answers are then none.
bool wants_json(const chat::ChatRequest& request, std::string_view body) {
  for (const auto& field : request.fields) {
    if (field.key == "response_format") return field.value.in(body).find("\"json_") != std::string_view::npos;
  }
  return false;
}

}  // namespace

net::Awaitable<void> Flow::read_bound() {
  if (bound_read_ || task_ == nullptr || !task_->bound) co_return;
  bound_read_ = true;
  const BoundSpecialist& bound = *task_->bound;
  if (!internal::may_answer_closed(request_) || (!bound.json && wants_json(request_, context_.body))) co_return;
  std::string text = chat::last_user_text(context_.body);
  if (text.empty()) co_return;
  const specialists::NamedSpecialist& named = *bound.specialist;
  specialists::IntentPrediction prediction = named.intent->predict(text);
  if (deps_.encoder != nullptr && named.fits(deps_.encoder->identity()) && named.intent->wants_vector(prediction)) {
    co_await read_vector();
    if (!vector_->empty()) prediction = named.intent->predict(text, *vector_);
  }
  bound_ = read_prediction(prediction);
}

bool Flow::try_bound(std::size_t rung, double threshold) {
  if (!bound_) return false;
  const Rung& spec = promise_->ladder()[rung];
  const double confidence = view_->policy ? view_->policy->rungs[rung].model.probability(bound_->raw, bound_->features) : bound_->raw;
  decision_.confidence = confidence;
  decision_.threshold = threshold;
  if (confidence < threshold) return false;
  const std::string& name = spec.bound->specialist->name;
  const std::string& answer = spec.bound->answers[bound_->label];
  cached_ = std::make_shared<const CachedAnswer>(internal::learned_completion(answer, decision_.request_id, context_.body, Stage::kSpecialist, name, deps_.reactor.clock().wall()));
  decision_.served_by = Stage::kSpecialist;
  decision_.rung = spec.name;
  decision_.model = name;
  decision_.reason = reason::kConfident;
  return true;
}

}  // namespace understudy::cascade
