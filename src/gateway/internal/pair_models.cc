#include "gateway/internal/pair_models.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <unordered_map>

#include "base/nearest.h"
#include "gateway/internal/embed_texts.h"
#include "specialists/cached_engines.h"
#include "specialists/judge_specialist.h"

namespace understudy::gateway::internal {
namespace {

using specialists::CachedEncoder;
using specialists::CachedEngines;
using specialists::RerankScore;
using specialists::ScorePool;
using specialists::SpecialistPtr;

/// Of a text: what rerankers read of it.
constexpr std::size_t kMostRead = 64 * 1024;

std::vector<std::string_view> names_of(const std::vector<SpecialistPtr>& all) {
  std::vector<std::string_view> names;
  for (const SpecialistPtr& one : all) names.push_back(one->name);
  return names;
}

/// Behind "There is no ...": the nearest name, and all that there are.
std::string offer(std::string_view model, std::span<const std::string_view> names) {
  const std::string near = did_you_mean(model, names);
  return fmt::format("{}{}", near.empty() ? "." : near, names.empty() ? "" : fmt::format(" There are: {}.", fmt::join(names, ", ")));
}

Result<PairModel> usable(SpecialistPtr specialist) {
  if (!specialist->unfit.empty()) return fail(ErrorKind::kUnsupported, fmt::format("The specialist '{}' cannot answer on this machine: {}.", specialist->name, specialist->unfit), "model");
  return PairModel{std::move(specialist)};
}

Result<PairModel> cosines(const neural::EncoderPool* encoder) {
  if (encoder == nullptr) return fail(no_encoder("The model 'understudy/encoder'"));
  return PairModel{};
}

/// A name that means something here, but nothing that can answer about pairs of texts.
bool is_chat_model(const cascade::Policy& policy, std::string_view model) {
  return model.starts_with("understudy/") || std::ranges::any_of(policy.models, [&](const auto& m) { return m.config.name == model; }) ||
         std::ranges::any_of(policy.cascades, [&](const auto& c) { return c.name == model; });
}

std::string served_at(const specialists::NamedSpecialist& specialist) {
  return fmt::format("The specialist '{}' is of kind {}: it answers {}.", specialist.name, specialist.kind_text(), specialist.kind == "intent" ? "/v1/classify" : specialist.kind == "judge" ? "/v1/score" : "/v1/rerank and /v1/score");
}

/// What it is asked at /v1/score; nullopt: nothing.
std::optional<chat::ScoreForm> form_of(const specialists::NamedSpecialist& one) {
  if (one.rerank || one.judge) return chat::ScoreForm::kPair;
  if (!one.answer_judge) return std::nullopt;
  return one.answer_judge->form() == specialists::JudgeForm::kScore ? chat::ScoreForm::kResponse : chat::ScoreForm::kPreference;
}

/// The request's fields are not those that `who` reads.
Unexpected other_fields(std::string_view who, chat::ScoreForm reads, const chat::ScoreRequest& request) {
  return fail(ErrorKind::kInvalidRequest, fmt::format("{} reads {}, and the request has {}.", who, chat::score_fields(reads), chat::score_fields(request.form)),
              request.form == chat::ScoreForm::kPair ? "text_1" : request.form == chat::ScoreForm::kResponse ? "response" : "a");
}

std::vector<RerankScore> as_scores(std::span<const double> values) {
  std::vector<RerankScore> out;
  for (const double value : values) out.push_back({static_cast<float>(value), static_cast<float>(value)});
  return out;
}

double dot(std::span<const float> a, std::span<const float> b) { return std::inner_product(a.begin(), a.end(), b.begin(), 0.0, std::plus<>(), [](float x, float y) { return double(x) * double(y); }); }

/// Of each pair of places in `texts`.
Result<std::vector<double>> cosines_of(ScorePool& pool, std::span<const std::string_view> texts, std::span<const std::pair<std::size_t, std::size_t>> pairs, std::stop_token stop) {
  const CachedEncoder encoder(*pool.encoder(), &pool.cache(), std::move(stop));
  const std::size_t dimension = encoder.dimension();
  std::vector<float> vectors(texts.size() * dimension);
  if (auto done = encoder.embed(texts, vectors); !done) return fail(std::move(done.error()));
  std::vector<double> out;
  for (const auto& [a, b] : pairs) out.push_back(dot(std::span(vectors).subspan(a * dimension, dimension), std::span(vectors).subspan(b * dimension, dimension)));
  return out;
}

Result<std::vector<double>> judge_all(const specialists::NamedSpecialist& named, ScorePool& pool, const chat::ScoreRequest& request, const std::stop_token& stop) {
  const CachedEngines engines(named, pool, stop);
  std::vector<double> out;
  for (std::size_t i = 0; i < request.pairs(); ++i) {
    if (stop.stop_requested()) return fail(ErrorKind::kCancelled, "the client went away");
    const auto said = named.judge->judge(request.first_of(i), request.second[i], engines.all());
    if (!said) return fail(said.error());
    out.push_back(static_cast<double>(said->probability));
  }
  return out;
}

Result<std::vector<double>> rank_all(const specialists::NamedSpecialist& named, ScorePool& pool, const chat::ScoreRequest& request, const std::stop_token& stop) {
  const CachedEngines engines(named, pool, stop);
  std::vector<std::vector<std::size_t>> lists;
  std::unordered_map<std::string_view, std::size_t> list_of;
  for (std::size_t i = 0; i < request.pairs(); ++i) {
    const auto [found, fresh] = list_of.try_emplace(request.first_of(i), lists.size());
    if (fresh) lists.emplace_back();
    lists[found->second].push_back(i);
  }
  std::vector<double> out(request.pairs());
  for (const auto& list : lists) {
    if (stop.stop_requested()) return fail(ErrorKind::kCancelled, "the client went away");
    std::vector<std::string_view> documents;
    for (const std::size_t i : list) documents.push_back(request.second[i]);
    const auto said = named.rerank->score(request.first_of(list.front()), documents, engines.all());
    if (!said) return fail(said.error());
    for (std::size_t k = 0; k < list.size(); ++k) out[list[k]] = static_cast<double>((*said)[k].score);
  }
  return out;
}

}  // namespace

std::string PairModel::served_by() const { return specialist ? "specialist:" + specialist->name : "encoder"; }
std::string_view PairModel::name() const { return specialist ? std::string_view(specialist->name) : "understudy/encoder"; }
bool PairModel::words_alone(const ScorePool& pool) const { return specialist && CachedEngines(*specialist, pool.encoder(), nullptr, {}).none(); }

Result<PairModel> find_reranker(const cascade::Policy& policy, std::string_view model, const neural::EncoderPool* encoder) {
  if (!model.empty() && names_encoder(encoder, model)) return cosines(encoder);
  const specialists::Registry& registry = policy.registry();
  const auto rerankers = registry.of_kind("rerank");
  const auto names = names_of(rerankers);
  if (!model.empty()) {
    if (const auto found = registry.find(model)) {
      if (!found->rerank) return fail(ErrorKind::kInvalidRequest, served_at(*found), "model");
      return usable(found);
    }
    if (is_chat_model(policy, model)) return fail(ErrorKind::kInvalidRequest, fmt::format("'{}' is a chat model and no reranker{}", model, offer("", names)), "model");
    // A slip is not taken for another service's model.
    if (policy.unknown_model != cascade::UnknownModel::kAuto || !did_you_mean(model, names).empty() || rerankers.size() > 1) {
      return fail(ErrorKind::kModelNotFound, fmt::format("There is no reranker '{}'{}", model.substr(0, 200), offer(model, names)), "model");
    }
  }
  if (rerankers.size() == 1) return usable(rerankers.front());
  if (rerankers.size() > 1) return fail(ErrorKind::kInvalidRequest, fmt::format("Field 'model' is missing: it names the reranker; there are: {}.", fmt::join(names, ", ")), "model");
  if (encoder != nullptr) return PairModel{};
  return fail(ErrorKind::kModelNotFound, "There is no reranker: train one (understudy train rerank --data ROWS --out DATA/specialists/NAME), or set [server] encoder = \"on\" for the plain cosines of a sentence encoder.", "model");
}

Result<PairModel> find_scorer(const cascade::Policy& policy, const chat::ScoreRequest& request, const neural::EncoderPool* encoder) {
  const std::string_view model = request.model;
  if (!model.empty() && names_encoder(encoder, model)) {
    if (request.form != chat::ScoreForm::kPair) return other_fields("'understudy/encoder'", chat::ScoreForm::kPair, request);
    return cosines(encoder);
  }
  const specialists::Registry& registry = policy.registry();
  std::vector<SpecialistPtr> scorers, reading;   // all, and those that read such fields
  for (const SpecialistPtr& one : registry.all()) {
    const auto form = form_of(*one);
    if (form) scorers.push_back(one);
    if (form == request.form) reading.push_back(one);
  }
  constexpr std::string_view kTakes = "/v1/score takes a specialist of kind judge or rerank, or understudy/encoder for plain cosines";
  if (model.empty()) {
    if (reading.size() == 1) return usable(reading.front());
    const std::string whose = request.form == chat::ScoreForm::kPair ? std::string(kTakes) : fmt::format("it names the judge that reads {}", chat::score_fields(request.form));
    return fail(ErrorKind::kInvalidRequest, fmt::format("Field 'model' is missing: {}{}", whose, offer("", names_of(reading))), "model");
  }
  const auto found = registry.find(model);
  if (!found) return fail(ErrorKind::kModelNotFound, fmt::format("There is no model '{}' here, and {}{}", model.substr(0, 200), kTakes, offer(model, names_of(scorers))), "model");
  const auto form = form_of(*found);
  if (!form) return fail(ErrorKind::kInvalidRequest, fmt::format("{} {}{}", served_at(*found), kTakes, offer("", names_of(scorers))), "model");
  if (form != request.form) return other_fields(fmt::format("The specialist '{}' is of kind {}: it", found->name, found->kind_text()), *form, request);
  return usable(found);
}

Result<std::vector<RerankScore>> relevance(const PairModel& model, ScorePool& pool, const chat::RerankRequest& request, std::stop_token stop) {
  std::vector<std::string_view> documents;
  for (std::size_t i = 0; i < request.documents.size(); ++i) documents.push_back(request.read_part(i, kMostRead));
  if (model.specialist) {
    const CachedEngines engines(*model.specialist, pool, std::move(stop));
    return model.specialist->rerank->score(request.query, documents, engines.all());
  }
  documents.insert(documents.begin(), request.query);
  std::vector<std::pair<std::size_t, std::size_t>> pairs;
  for (std::size_t i = 1; i < documents.size(); ++i) pairs.emplace_back(0, i);
  const auto values = cosines_of(pool, documents, pairs, std::move(stop));
  if (!values) return fail(values.error());
  return as_scores(*values);
}

Result<std::vector<double>> pair_scores(const PairModel& model, ScorePool& pool, const chat::ScoreRequest& request, std::stop_token stop) {
  if (model.specialist) return model.specialist->judge ? judge_all(*model.specialist, pool, request, stop) : rank_all(*model.specialist, pool, request, stop);
  // Each text once, however many pairs it is in.
  std::vector<std::string_view> texts;
  std::unordered_map<std::string_view, std::size_t> place;
  const auto place_of = [&](std::string_view text) {
    const auto [found, fresh] = place.try_emplace(text, texts.size());
    if (fresh) texts.push_back(text);
    return found->second;
  };
  std::vector<std::pair<std::size_t, std::size_t>> pairs;
  for (std::size_t i = 0; i < request.pairs(); ++i) {
    const std::size_t a = place_of(request.first_of(i)), b = place_of(request.second[i]);
    pairs.emplace_back(a, b);
  }
  return cosines_of(pool, texts, pairs, std::move(stop));
}

Result<std::vector<specialists::AnswerJudgement>> answer_judgements(const specialists::NamedSpecialist& named, ScorePool& pool, const chat::ScoreRequest& request, std::stop_token stop) {
  const CachedEngines engines(named, pool, stop);
  specialists::AnswerRow row;
  row.form = named.answer_judge->form();
  std::vector<specialists::AnswerJudgement> out;
  for (std::size_t i = 0; i < request.pairs(); ++i) {
    if (stop.stop_requested()) return fail(ErrorKind::kCancelled, "the client went away");
    row.prompt = request.first_of(i);
    row.response = request.second[i];
    if (!request.third.empty()) row.other = request.third[i];
    const auto said = named.answer_judge->judge(row, engines.all());
    if (!said) return fail(said.error());
    out.push_back(*said);
  }
  return out;
}

}  // namespace understudy::gateway::internal
