#pragma once
#include <optional>
#include <string>
#include <vector>

#include "app/terminal.h"
#include "base/clock.h"
#include "calibration/promise/ladder.h"
#include "store/queries.h"

namespace understudy::app {

/// What the task's promise was when a request was decided, and what became of the request's labelled row.
struct ExplainedPromise {
  std::vector<std::string> rungs;                            ///< names, by rung of `policy`
  std::optional<calibration::LadderPolicy> policy;           ///< the version in force; nullopt: none was, or it is not recorded
  std::optional<calibration::LabelledRow> row;               ///< nullopt: none was labelled (yet), or it was deleted
  std::vector<std::string> row_rungs;                        ///< names, by rung of `row`
  std::string row_fate;                                      ///< what the row is used for, or why not any more
};
/// Reads the task's events and the rows around the request.
Result<ExplainedPromise> explained_promise(store::StoreReader& reader, const store::RequestRecord& request);

/// One or two sentences that say why the request was served as it was and what it cost.
std::string explain_sentence(const store::RequestDetail& detail);

/// What `understudy explain` shows: the sentence, the decision, the promise that decided, every attempt with its features by
/// name, labels, feedback and texts (`full`: whole; else one line of each).
std::string explain_text(const store::RequestDetail& detail, WallTime now, bool full, const TextStyle& style, const ExplainedPromise& promise = {});

/// `understudy.explain/1`. Texts are always whole.
std::string explain_json(const store::RequestDetail& detail, const ExplainedPromise& promise = {});

}  // namespace understudy::app
