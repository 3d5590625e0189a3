#pragma once

namespace understudy::app {

/// `understudy escalations export --out F|- [filters] [--resume]`: all escalations as `understudy.escalation/1` lines, newest first,
/// a page in memory at a time. Every line holds the token behind it (`after`), so that a run that was cut off can go on.
int run_escalations_export_command(int argc, char** argv);

}  // namespace understudy::app
