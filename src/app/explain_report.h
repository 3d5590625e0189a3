#pragma once
#include <string>

#include "app/terminal.h"
#include "base/clock.h"
#include "store/queries.h"

namespace understudy::app {

/// One or two sentences that say why the request was served as it was and what it cost.
std::string explain_sentence(const store::RequestDetail& detail);

/// What `understudy explain` shows: the sentence, the decision, every attempt with its features by name, labels, feedback and
/// texts (`full`: whole; else one line of each).
std::string explain_text(const store::RequestDetail& detail, WallTime now, bool full, const TextStyle& style);

/// `understudy.explain/1`. Texts are always whole.
std::string explain_json(const store::RequestDetail& detail);

}  // namespace understudy::app
