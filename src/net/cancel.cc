#include "net/cancel.h"

#include <utility>

namespace understudy::net {

void CancelHook::set(CancelToken token, std::function<void()> callback) {
  reset();
  if (token.source_ == nullptr) return;
  if (token.source_->cancelled_) {
    callback();
    return;
  }
  callback_ = std::move(callback);
  source_ = token.source_;
  previous_ = source_->last_;
  (previous_ != nullptr ? previous_->next_ : source_->first_) = this;
  source_->last_ = this;
}

void CancelHook::reset() {
  if (source_ == nullptr) return;
  (previous_ != nullptr ? previous_->next_ : source_->first_) = next_;
  (next_ != nullptr ? next_->previous_ : source_->last_) = previous_;
  source_ = nullptr;
  previous_ = next_ = nullptr;
  callback_ = nullptr;
}

CancelSource::CancelSource(CancelToken parent) {
  parent_hook_.set(parent, [this] { cancel(); });
}

CancelSource::~CancelSource() {
  while (first_ != nullptr) first_->reset();
}

void CancelSource::cancel() {
  if (cancelled_) return;
  cancelled_ = true;
  // Each hook leaves the list before its callback runs, so a callback may destroy any hook, its own too.
  while (first_ != nullptr) {
    CancelHook& hook = *first_;
    const std::function<void()> callback = std::move(hook.callback_);
    hook.reset();
    callback();
  }
}

}  // namespace understudy::net
