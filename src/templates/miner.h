#pragma once
/// Finds the prompt templates in a stream of prompts: the fixed text that calls share. Deterministic in the order of add().

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "templates/kind.h"
#include "templates/sketch.h"

namespace understudy::templates {

/// A template and what was seen of it.
struct Template {
  std::string id;                      ///< 16 hexadecimal digits over its fixed text; stable from run to run
  std::vector<std::string> fixed;      ///< fixed segments outside quotes, normalised, in order of appearance
  std::vector<std::string> fixed_user; ///< those of them in user messages (the nearest instructions)
  bool has_quoted = false;             ///< calls carry quoted material
  std::uint64_t calls = 0;
  double slot_share = 0;               ///< mean share of a prompt's characters that vary
  double mean_turns = 0;
  AnswerStats answers;
  StepGuess guess;                     ///< filled by Miner::classify
};

/// Prompts are held back until kBatch of them have come, then mined together: segments that recur are fixed text, prompts
/// with the same fixed text outside quotes are a template. Later prompts join the template whose fixed text they hold, or
/// wait for the next batch. Memory: one batch of sketches, the segment counts (bounded) and the templates.
class Miner {
 public:
  static constexpr std::size_t kBatch = 4096;
  using Ticket = std::uint32_t;
  static constexpr std::uint32_t kNone = UINT32_MAX;

  /// Returns a ticket, whose template is known once resolved() is greater than it.
  Ticket add(PromptSketch sketch, std::string_view answer);
  /// Mines what waits. Call at the end.
  void flush();
  Ticket resolved() const { return static_cast<Ticket>(templates_of_.size() - waiting_.size()); }
  /// Index into templates(), or kNone for a prompt without text.
  std::uint32_t template_of(Ticket ticket) const { return templates_of_[ticket]; }
  /// Guesses the step of each template; after flush().
  void classify();
  const std::vector<Template>& templates() const { return templates_; }

 private:
  struct Waiting {
    PromptSketch sketch;
    AnswerShape shape = AnswerShape::kNone;
    std::uint64_t answer_hash = 0;
    std::uint32_t answer_words = 0;
  };
  struct Known {
    std::vector<std::uint64_t> fixed;  ///< sorted
    std::uint64_t weight = 0;          ///< characters
  };
  std::uint32_t match_known(const PromptSketch& sketch) const;
  void account(std::uint32_t index, const Waiting& prompt);
  void mine();

  std::vector<std::uint32_t> templates_of_;
  std::vector<Waiting> waiting_;
  std::vector<Template> templates_;
  std::vector<Known> known_;
  std::unordered_map<std::uint64_t, std::vector<std::uint32_t>> by_segment_;  ///< fixed segment -> templates
};

}  // namespace understudy::templates
