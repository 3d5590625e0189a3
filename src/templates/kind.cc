#include "templates/kind.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <span>

#include "templates/lexicon.h"

namespace understudy::templates {
namespace {

enum Step { kRerankStep, kRewriteStep, kRouteStep, kFaithfulStep, kExtractStep, kSummariseStep, kEvalStep, kGenerateStep, kSteps };
constexpr std::string_view kNames[kSteps] = {"rerank", "rewrite", "route", "faithfulness", "extract", "summarise", "eval", "generate"};

constexpr double kMostWordScore = 7;      ///< repeating a task's words does not make it truer
constexpr double kLeastScore = 2;         ///< below this nothing is guessed
constexpr double kMidSentence = 0.6;      ///< words that do not begin a segment weigh less: the imperative comes first
constexpr std::size_t kBeginning = 28;    ///< bytes that count as a segment's beginning
constexpr double kShapeWeight = 1.0;

/// What one answer shape says about each step: log-odds by eye, in the scale of the words' weights.
struct ShapeRow {
  AnswerShape shape;
  double by_step[kSteps];  // rerank rewrite route faithful extract summarise eval generate
};
constexpr ShapeRow kShapeRows[] = {
    {AnswerShape::kIds, {4.5, -2, -1, -2, 0, -4, -1, -4}},
    {AnswerShape::kJsonIds, {4.5, -2, -1, -2, 0.5, -4, -1, -3}},
    {AnswerShape::kScore, {1, -4, 0, 1.5, 0, -4, 3, -4}},
    {AnswerShape::kJsonScore, {0, -4, 0, 2, 0.5, -3, 3, -3}},
    {AnswerShape::kYesNo, {-1, -4, 1.5, 3, 0, -4, 0.5, -3}},
    {AnswerShape::kLabel, {-2, 0, 3.5, 0, 0.5, -4, 0, -3}},
    {AnswerShape::kShortText, {-2, 3, -1.5, -1, 0, 0, -1.5, 0}},
    {AnswerShape::kJson, {-0.5, -1, 0.5, 0, 3, -1, 0, -0.5}},
    {AnswerShape::kCode, {-4, -2, -4, -4, 0, -2, -4, 3}},
    {AnswerShape::kProse, {-4, -2.5, -4, -2, -2, 2, -1, 2.5}},
};

double word_score(std::span<const Phrase> phrases, const std::vector<std::string>& segments, std::string& found) {
  double total = 0;
  double best = 0;
  for (const Phrase& phrase : phrases) {
    double weight = 0;
    for (const std::string& segment : segments) {
      // At a word's beginning, unless the phrase is in a script without spaces.
      for (std::size_t at = segment.find(phrase.text); at != std::string::npos; at = segment.find(phrase.text, at + 1)) {
        const bool ascii = static_cast<unsigned char>(phrase.text[0]) < 0xe3;
        const auto before = at == 0 ? static_cast<unsigned char>(' ') : static_cast<unsigned char>(segment[at - 1]);
        if (ascii && (std::isalnum(before) != 0 || before >= 0x80)) continue;
        weight = std::max(weight, phrase.weight * (at < kBeginning ? 1.0 : kMidSentence));
        break;
      }
    }
    if (weight > best) {
      best = weight;
      found = phrase.text;
    }
    total += weight;
  }
  // The strongest phrase counts in full, the others together as half of it at most.
  return std::min(kMostWordScore, best + std::min(total - best, best) * 0.5);
}

}  // namespace

StepGuess guess_step(const TemplateView& view) {
  const std::span<const Phrase> lexicon[kSteps] = {kRerank, kRewrite, kRoute, kFaithful, kExtract, kSummarise, kEval, kGenerate};
  double scores[kSteps] = {};
  std::string found[kSteps];
  for (int step = 0; step < kSteps; ++step) scores[step] = word_score(lexicon[step], view.fixed, found[step]);
  const bool any_word = std::any_of(std::begin(scores), std::end(scores), [](double s) { return s > 0; });

  AnswerShape top = AnswerShape::kNone;
  double top_share = 0;
  if (view.answers.with_text > 0) {
    for (const ShapeRow& row : kShapeRows) {
      const double share = view.answers.share(row.shape);
      if (share > top_share) {
        top_share = share;
        top = row.shape;
      }
      for (int step = 0; step < kSteps; ++step) scores[step] += kShapeWeight * share * row.by_step[step];
    }
    // Few different answers to many calls are labels, whatever they look like.
    if (view.answers.with_text >= 20 && view.answers.distinct.size() <= 12 && view.answers.distinct.size() * 4 < view.answers.with_text &&
        (top == AnswerShape::kShortText || top == AnswerShape::kLabel)) {
      scores[kRouteStep] += 2;
    }
    // A conversation that goes on is answered, not classified.
    if (view.mean_turns > 2.5 && top == AnswerShape::kProse) scores[kGenerateStep] += 1;
  }

  StepGuess guess;
  for (int step = 0; step < kSteps; ++step) guess.scores.emplace_back(kNames[step], scores[step]);
  std::stable_sort(guess.scores.begin(), guess.scores.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  if (guess.scores.front().second < kLeastScore) {
    guess.reason = "no instruction or answer form that tells a step";
    return guess;
  }
  guess.step = guess.scores.front().first;
  const auto winner = static_cast<std::size_t>(std::find(std::begin(kNames), std::end(kNames), guess.step) - std::begin(kNames));
  static constexpr std::string_view kShapeNames[kAnswerShapes] = {"no text", "ranked ids", "a score", "yes or no", "a label", "one short line",
                                                                  "JSON", "JSON with a score", "JSON with ids", "code", "prose"};
  guess.reason = found[winner].empty() || !any_word ? std::string("no known words") : fmt::format("\"{}\"", found[winner]);
  if (top != AnswerShape::kNone) guess.reason += fmt::format("; answers are {} ({:.0f} %)", kShapeNames[static_cast<std::size_t>(top)], top_share * 100);
  return guess;
}

}  // namespace understudy::templates
