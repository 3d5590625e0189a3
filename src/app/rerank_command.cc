#include "app/rerank_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <array>
#include <unordered_map>

#include "app/command_line.h"
#include "app/human.h"
#include "app/pair_teacher.h"
#include "app/specialist_summary.h"

namespace understudy::app {
namespace {

using specialists::RerankRow;
using specialists::RerankRows;
using specialists::RerankSpecialist;

std::vector<trainer::PairRow> pair_rows(const RerankRows& rows) {
  std::vector<trainer::PairRow> out;
  for (const RerankRow& row : rows.rows) out.push_back({row.qid, row.query, row.doc, row.gain, row.weight});
  return out;
}

struct RerankTrainer : RerankInput {
  using Training = specialists::RerankTraining;
  using Facts = specialists::RerankFacts;
  static constexpr const char* kGroup = "queries";
  static constexpr trainer::Loss kLoss = trainer::Loss::kListwise;
  static constexpr neural::PairHeadKind kHead = neural::PairHeadKind::kHybrid;

  static void make_with(const CrossEncoderMaker& maker, Training& training) {
    training.make_cross_encoder = [&maker](const RerankRows& train, const RerankRows& held) { return maker(pair_rows(train), pair_rows(held)); };
  }
  static constexpr auto train = specialists::train_rerank;
  static void configure(Training& training, const PairArguments& a) {
    training.ordered = a.ordered;
    training.keep_order = a.keep_order == "auto";
    training.tolerance = a.tolerance;
  }
  static std::string told(const RerankSpecialist& made, const std::string& out, std::int64_t us) {
    const auto& c = made.calibration();
    std::string text = fmt::format("{}: {} of {} queries, trained in {}\n{}\n", out, counted(static_cast<std::int64_t>(made.facts().rows), "row"), made.facts().queries, human_duration(us),
                                   made.facts().trainer);
    text += fmt::format("rows held back ({} of {} queries): nDCG@10 {:.4f}, ECE-15 {:.4f}, Brier {:.4f}\n", counted(static_cast<std::int64_t>(c.rows), "row"), c.queries, c.ndcg10, c.ece15, c.brier);
    if (made.order()) text += fmt::format("order: {}\n", order_text(*made.order()));
    const std::array<double, specialists::kRerankRungs> alone = {c.words_ndcg10, c.vectors_ndcg10, c.cross_ndcg10};
    const std::array<bool, specialists::kRerankRungs> there = {!made.keeps_order(), c.vectors.has_value(), c.cross_encoder.has_value()};
    for (std::size_t s = 0; s < alone.size(); ++s)
      if (alone[s] > 0)
        text += fmt::format("  {:<14}reads {:5.1f} % of the documents{}; every document by it: nDCG@10 {:.4f}\n", specialists::kRerankSteps[s], 100 * c.shares[s], there[s] ? "" : ", left out", alone[s]);
    const specialists::Band& band = made.band();
    text += fmt::format("with at most {} wrong: relevant from {}, irrelevant up to {}; between, ask an LLM\n", band.alpha, band.yes_from ? fmt::format("{:.3f}", *band.yes_from) : "nowhere",
                        band.no_to ? fmt::format("{:.3f}", *band.no_to) : "nowhere");
    return text + fmt::format("next: understudy evaluate {} --data FILE --split test\n", out);
  }
};

struct RerankPredictor : RerankInput {
  /// The documents of a query are judged together: so all is read before the first answer.
  static Result<void> answer(const ReadyReranker& ready, std::span<Result<RerankRow>> rows, std::string& out) {
    std::vector<std::vector<std::size_t>> queries;
    std::unordered_map<std::string, std::size_t> query_of;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (!rows[i]) continue;
      if (rows[i]->did.empty()) rows[i]->did = fmt::format("line {}", i + 1);
      const auto [found, is_new] = query_of.try_emplace(rows[i]->qid + '\n' + rows[i]->query, queries.size());
      if (is_new) queries.emplace_back();
      queries[found->second].push_back(i);
    }
    std::vector<specialists::RerankScore> scores(rows.size());
    for (const auto& places : queries) {
      std::vector<std::string_view> documents;
      for (const std::size_t i : places) documents.push_back(rows[i]->doc);
      const auto said = ready.specialist.score(rows[places[0]]->query, documents, ready.engines());
      if (!said) return fail(said.error());
      for (std::size_t i = 0; i < places.size(); ++i) scores[places[i]] = (*said)[i];
    }
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (!rows[i]) {
        append_row_error(out, "did", i, rows[i].error());
        continue;
      }
      JsonWriter w(out);
      w.begin_object().field("qid", rows[i]->qid).field("did", rows[i]->did).key("score").fixed(scores[i].score, 6).key("raw").fixed(scores[i].raw, 6);
      w.field("rung", specialists::kRerankSteps[static_cast<std::size_t>(scores[i].step)]);
      w.field("verdict", specialists::verdict_name(specialists::verdict(ready.specialist.band(), static_cast<double>(scores[i].score)))).end_object();
      out += '\n';
    }
    return {};
  }
};

}  // namespace

int predict_rerank(const std::string& folder, const std::string& data, const std::optional<std::string>& split, const char* name) {
  return predict_pair<RerankPredictor>(folder, data, split, name);
}

int run_train_rerank_command(int argc, char** argv) {
  CLI::App cli("Trains a reranker: how relevant a document is to a query, as a calibrated probability.");
  cli.footer("Rows are JSON Lines (plain, gzip or zstd): {\"qid\": \"1\", \"query\": \"who wrote it\", \"did\": \"a\", \"doc\": \"...\", \"rel\": 1, \"split\": \"train\"}\n\n"
             "  understudy train rerank --data rows.jsonl --calibration rows.jsonl --out reranker\n  understudy evaluate reranker --data rows.jsonl --split test\n"
             "  understudy train rerank --teacher openai:gpt-4o --unlabelled pairs.jsonl --budget-usd 5 --out reranker");
  PairArguments a;
  TeacherArguments teacher;
  a.keep = 2000;
  a.epochs = 3;
  add_pair_options(cli, a, {"reranker", "Rows of other queries, to choose by and calibrate on (default: a fifth of the queries is held back)", "long documents"});
  auto* const ordered = cli.add_flag("--ordered", a.ordered, "The rows of a query come in the order in which documents will be sent, which means something: a retriever's ranks, sentences of a text");
  cli.add_option("--keep-order", a.keep_order, "auto (that order is kept unless the rows show that reranking is better) or never")->check(CLI::IsMember({"auto", "never"}))->capture_default_str()->needs(ordered);
  cli.add_option("--tolerance", a.tolerance, "nDCG@10 on the rows held back that may be lost by asking dear rungs about fewer documents")->check(CLI::Range(0.0, 0.5))->capture_default_str();
  add_teacher_arguments(cli, labelling::Task::kRelevance, teacher);
  if (const auto status = parse_arguments(cli, argc, argv)) return *status;
  const auto labelled = label_before_training(labelling::Task::kRelevance, teacher, a, train_pair<RerankTrainer>);
  if (!labelled) return report_error(argv[0], labelled.error(), a.json);
  if (*labelled) return print_output(**labelled);
  const auto data = read_training_text(a);
  const auto told = data ? train_pair<RerankTrainer>(a, *data, command_of(argc, argv, "understudy train rerank")) : data;
  return told ? print_output(*told) : report_error(argv[0], told.error(), a.json);
}

}  // namespace understudy::app
