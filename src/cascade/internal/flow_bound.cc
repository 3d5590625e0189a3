// A bound specialist on a request's way.
#include "cascade/bound_request.h"
#include "cascade/internal/ask_bound.h"
#include "cascade/internal/flow.h"
#include "specialists/intent_specialist.h"

namespace understudy::cascade {

net::Awaitable<void> Flow::read_bound() {
  if (bound_read_ || task_ == nullptr || !task_->bound) co_return;
  bound_read_ = true;
  const BoundSpecialist& bound = *task_->bound;
  if (!may_answer(bound, request_, context_.body)) co_return;
  if (bound.texts) {
    if (deps_.scores == nullptr) co_return;
    auto slots = bound.texts->extract.match(chat::user_texts(context_.body));
    if (!slots) co_return;
    const double yes_from = task_band() ? task_band()->middle() : 0.5;
    internal::BoundQuestion question(task_->bound, std::move(*slots), yes_from);
    bound_ = co_await internal::ask_bound(*deps_.scores, std::move(question), deps_.reactor);
    co_return;
  }
  std::string text = chat::last_user_text(context_.body);
  if (text.empty()) co_return;
  const specialists::NamedSpecialist& named = *bound.specialist;
  specialists::IntentPrediction prediction = named.intent->predict(text);
  if (deps_.encoder != nullptr && named.fits(deps_.encoder->identity()) && named.intent->wants_vector(prediction)) {
    co_await read_vector();
    if (!vector_->empty()) prediction = named.intent->predict(text, *vector_);
  }
  bound_ = read_prediction(bound, prediction);
}

std::optional<ScoreBand> Flow::task_band() const {
  if (view_->policy) return std::nullopt;
  return Policy::band(*route_.cascade, task_);
}

bool Flow::try_bound(std::size_t rung, double threshold) {
  if (!bound_) return false;
  const Rung& spec = promise_->ladder()[rung];
  const double confidence = view_->policy ? view_->policy->rungs[rung].model.probability(bound_->raw, bound_->features) : bound_->raw;
  if (const auto band = task_band()) threshold = bound_->yes ? band->yes_from : 1 - band->no_to;
  decision_.confidence = confidence;
  decision_.threshold = threshold;
  if (confidence < threshold) return false;
  const std::string& name = spec.bound->specialist->name;
  cached_ = std::make_shared<const CachedAnswer>(internal::learned_completion(bound_->answer, decision_.request_id, context_.body, Stage::kSpecialist, name, deps_.reactor.clock().wall()));
  decision_.served_by = Stage::kSpecialist;
  decision_.rung = spec.name;
  decision_.model = name;
  decision_.reason = reason::kConfident;
  return true;
}

}  // namespace understudy::cascade
