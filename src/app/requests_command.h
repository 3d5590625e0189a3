#pragma once

namespace understudy::app {

/// `understudy requests [--task T] [--tenant T] [--since 1d] [--served-by S] [--reason R] [--limit N] [--cursor C] [--json]`.
int run_requests_command(int argc, char** argv);

/// `understudy escalations`: the same flags; only requests that went to the teacher, with the answers.
int run_escalations_command(int argc, char** argv);

}  // namespace understudy::app
