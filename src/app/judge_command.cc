#include "app/judge_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "app/answer_command.h"
#include "app/command_line.h"
#include "app/human.h"
#include "app/pair_teacher.h"

namespace understudy::app {
namespace {

using specialists::JudgeForm;
using specialists::JudgeRow;
using specialists::JudgeSpecialist;
using specialists::LabelledPair;

std::vector<trainer::PairRow> pair_rows(std::span<const LabelledPair> pairs) {
  std::vector<trainer::PairRow> out;
  for (const LabelledPair& pair : pairs) out.push_back({"", pair.first, pair.second, pair.target, pair.weight});
  return out;
}

struct JudgeTrainer : JudgeInput {
  using Training = specialists::JudgeTraining;
  using Facts = specialists::JudgeFacts;
  static constexpr const char* kGroup = "rows";
  static constexpr trainer::Loss kLoss = trainer::Loss::kPointwise;
  static constexpr neural::PairHeadKind kHead = neural::PairHeadKind::kInteraction;

  static void make_with(const CrossEncoderMaker& maker, Training& training) {
    training.make_cross_encoder = [&maker](std::span<const LabelledPair> train, std::span<const LabelledPair> held) { return maker(pair_rows(train), pair_rows(held)); };
  }
  static constexpr auto train = specialists::train_judge;
  static std::string told(const JudgeSpecialist& made, const std::string& out, std::int64_t us) {
    const auto& c = made.calibration();
    const auto& band = made.band(kUsualBand);
    return fmt::format("{}: {}, {} supported, first rung {}, {}, trained in {}\nrows not trained on: balanced accuracy {:.4f} (the claim alone {:.4f}), AUROC {:.4f}, ECE-15 {:.4f}, Brier {:.4f} ({})\n"
                       "with at most {} wrong: {} and {}; an LLM for what is between\n{}\nnext: understudy evaluate {} --data FILE --split test\n",
                       out, counted(static_cast<std::int64_t>(made.facts().rows), "row"), made.facts().supported, made.facts().rung, made.cross_encoder() ? "cross-encoder" : "no cross-encoder",
                       human_duration(us), c.balanced_accuracy, made.facts().claim_alone_balanced_accuracy, c.auroc, c.ece15, c.brier, counted(static_cast<std::int64_t>(c.rows), "row"), kUsualBand,
                       band.yes_from ? fmt::format("yes from {:.3f}", *band.yes_from) : "never yes", band.no_to ? fmt::format("no up to {:.3f}", *band.no_to) : "never no", made.facts().trainer, out);
  }
};

struct JudgePredictor : JudgeInput {
  static Result<void> answer(const ReadyJudge& ready, std::span<const Result<JudgeRow>> rows, std::string& out) {
    const auto& band = ready.specialist.band(kUsualBand);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (!rows[i]) {
        append_row_error(out, "id", i, rows[i].error());
        continue;
      }
      const auto said = ready.specialist.judge(rows[i]->claim, rows[i]->evidence, ready.engines());
      if (!said) return fail(said.error());
      JsonWriter w(out);
      w.begin_object().field("id", rows[i]->id.empty() ? fmt::format("line {}", i + 1) : rows[i]->id).key("probability").fixed(said->probability, 6);
      w.field("verdict", specialists::verdict_name(specialists::verdict(band, static_cast<double>(said->probability)))).end_object();
      out += '\n';
    }
    return {};
  }
};

}  // namespace

int predict_judge(const std::string& folder, const std::string& data, const std::optional<std::string>& split, const char* name) {
  return predict_pair<JudgePredictor>(folder, data, split, name);
}

namespace {

/// The form that the rows of a file have, which is the one that was asked for.
Result<JudgeForm> form_of(const std::string& text, const std::string& file, const specialists::RowChoice& choice, const std::string& wanted) {
  const auto found = specialists::judge_form_of(text, file, choice);
  // Rows that ask for a form in so many words get its errors.
  const auto form = specialists::parse_judge_form(wanted);
  if (!form) return found;
  if (found && *found != *form)
    return fail(ErrorKind::kInvalidRequest, fmt::format("{} has rows of the form \"{}\", and --form asks for \"{}\"", file, specialists::judge_form_name(*found), wanted));
  return *form;
}

Result<std::string> train(const PairArguments& a, const std::string& text, const std::string& wanted, const std::string& command) {
  const auto form = form_of(text, a.data, {split_meant(text, a.split, "train"), "", true}, wanted);
  if (!form) return fail(form.error());
  return *form == JudgeForm::kFaithfulness ? train_pair<JudgeTrainer>(a, text, command) : train_answer_judge(a, text, command);
}

/// What a teacher is asked of a form's rows.
labelling::Task task_of(JudgeForm form) {
  return form == JudgeForm::kFaithfulness ? labelling::Task::kFaithfulness : form == JudgeForm::kScore ? labelling::Task::kScore : labelling::Task::kPreference;
}

}  // namespace

int run_train_judge_command(int argc, char** argv) {
  CLI::App cli("Trains a judge, by what its rows ask: does the evidence support the claim, which score does the response get, or which of two responses is better. Calibrated.");
  cli.footer("Rows are JSON Lines (plain, gzip or zstd), of one of these forms:\n"
             "  faithfulness  {\"claim\": \"It opened in 1889.\", \"evidence\": \"The tower opened in 1889.\", \"label\": 1, \"split\": \"train\"}\n"
             "  score         {\"prompt\": \"Name a colour.\", \"response\": \"Blue.\", \"teacher_score\": 7}\n"
             "  preference    {\"prompt\": \"Name a colour.\", \"a\": \"Blue.\", \"b\": \"I cannot.\", \"gold\": 1}  (1: a, 2: b, 0: a tie)\n\n"
             "  understudy train judge --data rows.jsonl --out judge\n  understudy evaluate judge --data rows.jsonl --split test\n"
             "  understudy train judge --teacher openai:gpt-4o --unlabelled claims.jsonl --budget-usd 5 --out judge");
  PairArguments a;
  std::string form = "auto";
  TeacherArguments teacher;
  add_pair_options(cli, a, {"judge", "Other rows, to choose by and calibrate on (default: the rows of --data, each judged by what has not seen it)", "long evidence", true});
  cli.add_option("--form", form, "auto (by the rows), faithfulness, score or preference")->check(CLI::IsMember({"auto", "faithfulness", "score", "preference"}))->capture_default_str();
  add_teacher_arguments(cli, labelling::Task::kFaithfulness, teacher);
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  teacher.task_of = [&](const std::string& text) -> Result<labelling::Task> {
    const auto found = form_of(text, teacher.unlabelled, {split_meant(text, teacher.split, "train"), "", false}, form);
    return found ? Result<labelling::Task>(task_of(*found)) : fail(found.error());
  };
  const auto trained = [&](const PairArguments& on, const std::string& text, const std::string& command) { return train(on, text, form, command); };
  const auto labelled = label_before_training(labelling::Task::kFaithfulness, teacher, a, trained);
  if (!labelled) return report_error(argv[0], labelled.error(), a.json);
  if (*labelled) return print_output(**labelled);
  const auto data = read_training_text(a);
  const auto told = data ? trained(a, *data, command_of(argc, argv, "understudy train judge")) : data;
  return told ? print_output(*told) : report_error(argv[0], told.error(), a.json);
}

}  // namespace understudy::app
