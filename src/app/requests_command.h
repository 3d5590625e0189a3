#pragma once

namespace understudy::app {

/// `understudy requests [--task T] [--tenant T] [--since 1d] [--until T] [--served-by S] [--reason R] [--limit N] [--after C] [--json]`.
int run_requests_command(int argc, char** argv);

/// `understudy escalations`: the same flags and [--stage S] [--rung R] [--agrees yes|no]; only requests that went to the teacher,
/// with the answers.
int run_escalations_command(int argc, char** argv);

}  // namespace understudy::app
