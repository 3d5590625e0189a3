/// The program `understudy`: its table of subcommands, in the order in which the overview lists them.

#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "app/command.h"
#include "app/config_command.h"
#include "app/demo_command.h"
#include "app/doctor_command.h"
#include "app/escalations_export.h"
#include "app/explain_command.h"
#include "app/judge_command.h"
#include "app/keys_command.h"
#include "app/lessons_command.h"
#include "app/replay_command.h"
#include "app/rerank_command.h"
#include "app/requests_command.h"
#include "app/serve_command.h"
#include "app/specialist_command.h"
#include "app/specialist_evaluation.h"
#include "app/specialists_command.h"
#include "app/status_command.h"
#include "app/store_command.h"
#include "app/tasks_command.h"
#include "app/terminal.h"
#include "app/version.h"
#include "audit/command.h"
#include "evaluation/eval_command.h"
#include "evaluation/export_outcomes.h"

namespace understudy::app {
namespace {

constexpr std::string_view kRun = "Run";
constexpr std::string_view kLook = "Look";
constexpr std::string_view kMeasure = "Measure";
constexpr std::string_view kTrain = "Train";
constexpr std::string_view kKeep = "Keep";

int run_audit(int argc, char** argv) {
  audit::CommandEnvironment environment;
  environment.colour = stdout_style().color;
  environment.stderr_is_terminal = ::isatty(STDERR_FILENO) == 1;
  return audit::run_audit_command(argc, argv, std::cout, std::cerr, environment);
}

int run_eval(int argc, char** argv) {
  return evaluation::run_eval_command(std::vector<std::string>(argv + 1, argv + argc), stdout, stderr);
}

int run_export_outcomes(int argc, char** argv) {
  return evaluation::run_export_outcomes_command(std::vector<std::string>(argv + 1, argv + argc), stdout, stderr);
}

constexpr Command kCommands[] = {
    {"demo", kRun, "The whole loop on recorded data in about a minute", run_demo_command},
    {"serve", kRun, "Start the gateway", run_serve_command},
    {"doctor", kRun, "Check upstreams, keys, logprobs, prices, clock and disk", run_doctor_command},
    {"config", kRun, "Check the configuration, or show what is in force", run_config_command},
    {"replay", kRun, "An upstream that answers from a recording", run_replay_command},
    {"status", kLook, "Who served, what it cost, what was saved", run_status_command},
    {"requests", kLook, "Latest requests, by task, tenant, stage or reason", run_requests_command},
    {"escalations", kLook, "Requests that went to the teacher, with both answers", run_escalations_command},
    {"escalations export", kLook, "All of them as JSON Lines, with attempts, signals and labels", run_escalations_export_command},
    {"explain", kLook, "Why one request was served as it was", run_explain_command},
    {"tasks", kLook, "The promise of each task: proven, warming, or never, and what is needed", run_tasks_command},
    {"tasks show", kLook, "One task: why its bill is what it is, and what would lower it", run_tasks_show_command},
    {"tasks pin", kLook, "Take a task off the cheap stages at once, or back: teacher or auto", run_tasks_pin_command},
    {"lessons list", kLook, "What the teacher taught, by task, tenant or state", run_lessons_list_command},
    {"lessons show", kLook, "One lesson: input, answers, reasoning, and what came of showing it", run_lessons_show_command},
    {"lessons retire", kLook, "Take a lesson out of use", run_lessons_retire_command},
    {"lessons export", kLook, "Lessons as JSON Lines", run_lessons_export_command},
    {"audit", kMeasure, "Where the money goes in your traces, and what would be saved", run_audit},
    {"eval", kMeasure, "What a cascade would do on recorded answers", run_eval},
    {"export outcomes", kMeasure, "The gateway's log in the form that eval reads", run_export_outcomes},
    {"train intent", kTrain, "A small local model for a task with closed answers, from labelled texts", run_train_intent_command},
    {"train judge", kTrain, "A small local model that tells whether evidence supports a claim, from labelled pairs", run_train_judge_command},
    {"train rerank", kTrain, "A small local model that orders documents by a query, from labelled pairs", run_train_rerank_command},
    {"predict", kTrain, "A specialist's answers, one line out a line in", run_predict_command},
    {"evaluate", kTrain, "How good a specialist is: accuracy, calibration, share it may serve", run_evaluate_command},
    {"quantize", kTrain, "A smaller, faster version of a specialist, calibrated anew", run_quantize_command},
    {"specialists list", kTrain, "What a gateway loads, and how good each is", run_specialists_list_command},
    {"specialists show", kTrain, "One of them: its training, and how far its probabilities can be believed", run_specialists_show_command},
    {"specialists compare", kTrain, "Two of them, also on the same labelled rows", run_specialists_compare_command},
    {"specialists recheck", kTrain, "Ask the teacher again about a fresh sample: does it still agree?", run_specialists_recheck_command},
    {"specialists remove", kTrain, "Take one out of the directory", run_specialists_remove_command},
    {"keys create", kKeep, "Make a key for an application, an operator or an audit", run_keys_create_command},
    {"keys list", kKeep, "The keys of a configuration, what they may, and until when", run_keys_list_command},
    {"keys rotate", kKeep, "Give a key a new secret; the old one may stay good for a while", run_keys_rotate_command},
    {"keys revoke", kKeep, "Take a key out of the configuration", run_keys_revoke_command},
    {"store check", kKeep, "Read the whole data directory and verify it", run_store_check_command},
    {"store compact", kKeep, "Give unused disk space back (no gateway may run)", run_store_compact_command},
    {"version", kKeep, "Say which understudy this is", run_version_command},
};

}  // namespace
}  // namespace understudy::app

int main(int argc, char** argv) { return understudy::app::run_program(understudy::app::kCommands, argc, argv); }
