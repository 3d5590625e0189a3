#pragma once
#include <optional>
#include <string>
#include <vector>

#include "app/terminal.h"
#include "base/clock.h"
#include "store/queries.h"

namespace understudy::app {

/// What `understudy requests` shows. `more` is the command line that shows the next page; "" where there is none.
std::string requests_text(const store::RequestPage& page, WallTime now, const std::string& more, const TextStyle& style);

/// `understudy.requests/1`.
std::string requests_json(const store::RequestPage& page);

/// One request that went to the teacher. `detail` holds texts and attempts.
struct Escalation {
  store::RequestRecord request;
  std::optional<store::RequestDetail> detail;  ///< nullopt: deleted in between, or a later request took the same id
};

struct EscalationPage {
  std::vector<Escalation> escalations;
  std::optional<std::string> next;
};

/// What `understudy escalations` shows: the question, what student and teacher said with latency, cost and the student's signals,
/// and why the teacher was asked.
std::string escalations_text(const EscalationPage& page, WallTime now, const std::string& more, const TextStyle& style);

/// `understudy.escalations/1`.
std::string escalations_json(const EscalationPage& page);

/// Appends one `understudy.escalation/1` line: the same keys, all attempts, labels and feedback, and `after`, the cursor behind it.
void append_escalation_line(const Escalation& escalation, std::string& out);

/// The answer of `stage` that counts: the served one, else the last that did not fail. nullptr where there is none.
const store::AttemptRecord* answer_of(const store::RequestDetail& detail, Stage stage);

}  // namespace understudy::app
