#include "app/specialist_summary.h"

#include <fmt/format.h>

#include "specialists/answer_judge.h"
#include "specialists/intent_specialist.h"
#include "specialists/judge_specialist.h"
#include "specialists/rerank_specialist.h"

namespace understudy::app {
namespace {

template <typename Facts>
void add_facts(SpecialistSummary& s, const Facts& f) {
  s.rows = f.rows;
  s.seed = f.seed;
  s.command = f.command;
  s.data_file = f.data_file;
  s.data_hash = f.data_hash;
}

template <typename Calibration>
void add_calibration(SpecialistSummary& s, const Calibration& c) {
  s.ece15 = c.ece15;
  s.brier = c.brier;
  s.calibration_rows = c.rows;
}

SpecialistSummary summary(const specialists::IntentSpecialist& intent) {
  SpecialistSummary s;
  add_facts(s, intent.facts());
  add_calibration(s, intent.calibration());
  s.labels = intent.labels().size();
  s.quality_name = "accuracy";
  s.quality = intent.calibration().accuracy;
  s.source = intent.calibration().source;
  return s;
}

template <typename Model>
SpecialistSummary summary_of_pairs(const Model& model) {
  SpecialistSummary s;
  add_facts(s, model.facts());
  add_calibration(s, model.calibration());
  s.cross_encoder = model.cross_encoder().has_value();
  s.trainer = model.facts().trainer;
  return s;
}

SpecialistSummary summary(const specialists::RerankSpecialist& reranker) {
  SpecialistSummary s = summary_of_pairs(reranker);
  s.rung = reranker.keeps_order() ? specialists::kRerankSteps[static_cast<std::size_t>(specialists::RerankStep::kOrder)] : std::string_view(reranker.facts().words.kind);
  const auto& c = reranker.calibration();
  s.quality_name = "ndcg10";
  s.quality = c.ndcg10;
  s.others = {{"words_ndcg10", c.words_ndcg10}};
  s.source = reranker.facts().calibration_file.empty() ? "held_back" : "file";
  return s;
}

SpecialistSummary summary(const specialists::JudgeSpecialist& judge) {
  SpecialistSummary s = summary_of_pairs(judge);
  s.rung = judge.facts().rung;
  const auto& c = judge.calibration();
  s.quality_name = "balanced_accuracy";
  s.quality = c.balanced_accuracy;
  s.others = {{"auroc", c.auroc}, {"claim_alone_balanced_accuracy", judge.facts().claim_alone_balanced_accuracy}};
  s.source = judge.facts().calibration_file.empty() ? "cross_validation" : "file";
  return s;
}

SpecialistSummary summary(const specialists::AnswerJudge& judge) {
  SpecialistSummary s = summary_of_pairs(judge);
  s.rung = judge.rungs().choice();
  const auto& c = judge.calibration();
  const bool scored = judge.form() == specialists::JudgeForm::kScore;
  s.quality_name = scored ? "spearman" : "accuracy";
  s.quality = scored ? c.spearman : c.accuracy;
  if (scored) s.others.emplace_back("within1", c.within1);
  s.others.emplace_back(scored ? "length_alone_spearman" : "length_alone_accuracy", judge.facts().length_alone);
  s.source = judge.facts().calibration_file.empty() ? "cross_validation" : "file";
  return s;
}

}  // namespace

SpecialistSummary summary_of(const specialists::NamedSpecialist& specialist) {
  if (specialist.rerank) return summary(*specialist.rerank);
  if (specialist.judge) return summary(*specialist.judge);
  if (specialist.answer_judge) return summary(*specialist.answer_judge);
  return summary(*specialist.intent);
}

std::string one_line(const specialists::NamedSpecialist& specialist) {
  const SpecialistSummary s = summary_of(specialist);
  const std::string what = s.labels ? fmt::format("{} labels", *s.labels) : fmt::format("{}{}", s.rung, s.cross_encoder ? " and a cross-encoder" : "");
  return fmt::format("{}, {}, {} {:.3f} and ECE {:.3f} on {} rows that were held back{}", specialist.kind_text(), what, quality_text(s.quality_name), s.quality, s.ece15, s.calibration_rows,
                     specialist.unfit.empty() ? "" : "; cannot answer here");
}

std::string order_text(const specialists::RerankOrder& order) {
  using Order = specialists::RerankOrder;
  std::string why = order.queries < Order::kFewest ? fmt::format("only {} queries can tell, and fewer than {} show nothing", order.queries, Order::kFewest)
                                                   : fmt::format("{} queries that it had not seen{}", order.queries, order.kept() ? " do not show that reranking is better" : " show it");
  return fmt::format("{}: {}; nDCG@10 {:.4f} as they came, {:.4f} reranked, difference {:+.4f}, at least {:+.4f} with confidence {}", order.kept() ? "kept as documents come, nothing is read" : "reranked", why,
                     order.came_ndcg10, order.reranked_ndcg10, order.difference(), order.at_least, Order::kConfidence);
}

std::string_view quality_text(std::string_view quality_name) {
  return quality_name == "ndcg10" ? "nDCG@10" : quality_name == "balanced_accuracy" ? "balanced accuracy" : quality_name == "spearman" ? "Spearman" : quality_name;
}

}  // namespace understudy::app
