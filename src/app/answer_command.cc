#include "app/answer_command.h"

#include <fmt/format.h>

#include "app/human.h"

namespace understudy::app {
namespace {

using specialists::AnswerJudge;
using specialists::AnswerRow;
using specialists::JudgeForm;

struct AnswerTrainer : AnswerInput {
  using Training = specialists::AnswerTraining;
  using Facts = specialists::AnswerFacts;
  static constexpr const char* kGroup = nullptr;
  static constexpr neural::PairHeadKind kHead = neural::PairHeadKind::kHybrid;  // none is made
  static constexpr trainer::Loss kLoss = trainer::Loss::kPointwise;
  static constexpr auto train = specialists::train_answers;

  static std::string told(const AnswerJudge& made, const std::string& out, std::int64_t us) {
    const auto& c = made.calibration();
    const auto& facts = made.facts();
    const std::string rows = counted(static_cast<std::int64_t>(facts.rows), "row"), fair = counted(static_cast<std::int64_t>(c.rows), "row"), rung(made.rungs().choice());
    std::string text;
    if (made.form() == JudgeForm::kScore) {
      text = fmt::format("{}: {} of scores from {} to {}, {}, trained in {}\nrows not trained on: Spearman {:.4f} (the length alone {:.4f}), at most {} off {:.4f}, ECE-15 {:.4f}, Brier {:.4f} ({})\n", out, rows,
                         facts.scale.lowest, facts.scale.highest, rung, human_duration(us), c.spearman, facts.length_alone, facts.scale.step, c.within1, c.ece15, c.brier, fair);
    } else {
      text = fmt::format("{}: {} of pairs, {} of them ties, {}, trained in {}\nrows not trained on: the better one found {:.4f} (the longer one is it {:.4f}), ECE-15 {:.4f}, Brier {:.4f} ({})\n", out, rows, facts.ties,
                         rung, human_duration(us), c.accuracy, facts.length_alone, c.ece15, c.brier, fair);
    }
    return text + fmt::format("next: understudy evaluate {} --data FILE --split test\n", out);
  }
};

struct AnswerPredictor : AnswerInput {
  static Result<void> answer(const ReadyAnswerJudge& ready, std::span<Result<AnswerRow>> rows, std::string& out) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      auto said = rows[i] ? ready.specialist.judge(*rows[i], ready.engines()) : fail(rows[i].error());
      if (!said && rows[i] && said.error().kind == ErrorKind::kInvalidRequest) rows[i] = fail(said.error());  // of the other form
      if (!rows[i]) {
        append_row_error(out, "id", i, rows[i].error());
        continue;
      }
      if (!said) return fail(said.error());
      JsonWriter w(out);
      w.begin_object().field("id", rows[i]->id.empty() ? fmt::format("line {}", i + 1) : rows[i]->id);
      if (rows[i]->form == JudgeForm::kScore) w.key("score").fixed(said->score, 4).field("rating", said->rating).key("probability").fixed(said->probability, 6).key("raw").fixed(said->raw, 6);
      else w.field("choice", said->choice).key("probability").fixed(said->probability, 6);
      w.end_object();
      out += '\n';
    }
    return {};
  }
};

}  // namespace

Result<std::string> train_answer_judge(const PairArguments& a, const std::string& text, const std::string& command) { return train_pair<AnswerTrainer>(a, text, command); }

int predict_answers(const std::string& folder, const std::string& data, const std::optional<std::string>& split, const char* name) {
  return predict_pair<AnswerPredictor>(folder, data, split, name);
}

}  // namespace understudy::app
