// First-stage retrieval for the rerankers' bars: BM25 over stems and the sentence encoder's cosines, then both again with feedback from the best documents; k1, b, the weight
// between them and the feedback tuned on the train queries. Feedback must be shown to order better there (paired, one-sided .95), or there is none.
//   understudy_candidates COLLECTION TOP [CACHE] > rows.jsonl
// COLLECTION holds corpus.jsonl, queries.jsonl and qrels.jsonl (data/specialists/README.md of the shared data, unpacked); CACHE keeps the vectors. Rows out are those of
// `understudy train rerank`, the TOP candidates of each query, best first, with rel 0 where the qrels are silent. Figures on standard error, as JSON.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/json_writer.h"
#include "calibration/paired.h"
#include "calibration/ranking.h"
#include "neural/embed_many.h"
#include "neural/encoder.h"
#include "retrieval/stem_words.h"

namespace {

namespace fs = std::filesystem;
using namespace understudy;

[[noreturn]] void quit(const std::string& what) {
  fmt::print(stderr, "understudy_candidates: {}\n", what);
  std::exit(2);
}

struct Query {
  std::string id, text, split;
  std::map<std::size_t, double> relevant;  ///< by place in the corpus
};

struct Collection {
  std::vector<std::string> ids, documents;
  std::vector<Query> queries;
};

template <typename F>
void each(const fs::path& path, F&& f) {
  std::ifstream in(path, std::ios::binary);
  if (!in) quit(path.string() + " cannot be read");
  simdjson::dom::parser parser;
  std::string line;
  while (std::getline(in, line)) {
    simdjson::dom::element row;
    if (parser.parse(line).get(row)) quit(path.string() + ": a line is no JSON");
    f([&row](const char* key) { return std::string(row[key].get_string().value()); }, row);
  }
}

Collection read(const fs::path& folder) {
  Collection out;
  std::unordered_map<std::string, std::size_t> document, query;
  each(folder / "corpus.jsonl", [&](auto&& text, auto&) {
    const std::string title = text("title"), body = text("text");
    document.emplace(text("id"), out.ids.size());
    out.ids.push_back(text("id"));
    out.documents.push_back(title.empty() || body.starts_with(title) ? body : title + ". " + body);
  });
  each(folder / "queries.jsonl", [&](auto&& text, auto&) {
    query.emplace(text("id"), out.queries.size());
    out.queries.push_back({text("id"), text("text"), text("split"), {}});
  });
  each(folder / "qrels.jsonl", [&](auto&& text, auto& row) {
    const auto q = query.find(text("qid"));
    const auto d = document.find(text("did"));
    if (q != query.end() && d != document.end()) out.queries[q->second].relevant[d->second] = row["rel"].get_double().value();
  });
  return out;
}

using Weights = std::map<std::uint32_t, double>;  ///< of stems

/// Postings by stem; scores are O(entries of the query's stems).
class Lexical {
 public:
  explicit Lexical(const std::vector<std::string>& documents) : counts_(documents.size()), length_(documents.size()) {
    for (std::size_t d = 0; d < documents.size(); ++d) {
      const auto stems = retrieval::stem_words(documents[d]);
      for (const std::uint32_t stem : stems) ++counts_[d][stem];
      for (const auto& [stem, n] : counts_[d]) postings_[stem].emplace_back(d, n);
      length_[d] = std::max<double>(static_cast<double>(stems.size()), 1);
      mean_ += length_[d] / static_cast<double>(documents.size());
    }
  }
  static Weights words_of(const std::string& query) {
    Weights out;
    for (const std::uint32_t stem : retrieval::stem_words(query)) ++out[stem];
    return out;
  }
  double rarity(std::uint32_t stem) const {
    const auto found = postings_.find(stem);
    const double df = found == postings_.end() ? 0 : static_cast<double>(found->second.size());
    return std::log1p((static_cast<double>(length_.size()) - df + 0.5) / (df + 0.5));
  }
  std::vector<double> scores(const Weights& query, double k1, double b) const {
    std::vector<double> out(length_.size());
    for (const auto& [stem, weight] : query) {
      const auto found = postings_.find(stem);
      if (found == postings_.end()) continue;
      const double r = rarity(stem);
      for (const auto& [d, count] : found->second) out[d] += weight * r * count * (k1 + 1) / (count + k1 * (1 - b + b * length_[d] / mean_));
    }
    return out;
  }
  /// The query with the words that are frequent in some documents and rare elsewhere (Lavrenko and Croft 2001, as RM3): these weigh `share` as much as its own.
  Weights fed_back(const Weights& query, std::span<const std::size_t> documents, double share) const {
    constexpr std::size_t kWords = 20;
    Weights mass;
    for (const std::size_t d : documents)
      for (const auto& [stem, count] : counts_[d]) mass[stem] += count / length_[d] * rarity(stem);
    std::vector<std::pair<double, std::uint32_t>> order;
    for (const auto& [stem, value] : mass) order.emplace_back(value, stem);
    std::ranges::sort(order, std::greater());
    order.resize(std::min(order.size(), kWords));
    double own = 0, added = 1e-9;
    for (const auto& [stem, weight] : query) own += weight;
    for (const auto& [value, stem] : order) added += value;
    Weights out = query;
    for (const auto& [value, stem] : order) out[stem] += share * own * value / added;
    return out;
  }

 private:
  std::vector<std::map<std::uint32_t, double>> counts_;
  std::unordered_map<std::uint32_t, std::vector<std::pair<std::size_t, double>>> postings_;
  std::vector<double> length_;
  double mean_ = 0;
};

std::vector<std::size_t> best(const std::vector<double>& scores, std::size_t most) {
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  most = std::min(most, order.size());
  std::ranges::partial_sort(order, order.begin() + static_cast<std::ptrdiff_t>(most), [&](std::size_t a, std::size_t b) { return scores[a] > scores[b] || (scores[a] == scores[b] && a < b); });
  order.resize(most);
  return order;
}

/// Against all that is relevant, found or not.
double ndcg10(const Query& query, const std::vector<std::size_t>& order) {
  std::vector<double> ideal;
  for (const auto& [d, gain] : query.relevant) ideal.push_back(gain);
  std::ranges::sort(ideal, std::greater());
  double got = 0, most = 0;
  for (std::size_t r = 0; r < 10; ++r) {
    if (r < order.size() && query.relevant.contains(order[r])) got += query.relevant.at(order[r]) / std::log2(static_cast<double>(r + 2));
    if (r < ideal.size()) most += ideal[r] / std::log2(static_cast<double>(r + 2));
  }
  return most > 0 ? got / most : 0;
}

double recall(const Query& query, const std::vector<std::size_t>& order) {
  double found = 0;
  for (const std::size_t d : order) found += query.relevant.contains(d);
  return found / static_cast<double>(query.relevant.size());
}

constexpr std::size_t kTuned = 200;  // train queries that the choices are made on

/// Both over their greatest for the query: 1 is the best document of each.
std::vector<double> fused(const std::vector<double>& lexical, const std::vector<double>& dense, double weight) {
  const double most = std::max(*std::ranges::max_element(lexical), 1e-9), top = std::max(*std::ranges::max_element(dense), 1e-9);
  std::vector<double> out(lexical.size());
  for (std::size_t d = 0; d < out.size(); ++d) out[d] = weight * lexical[d] / most + (1 - weight) * dense[d] / top;
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3 || argc > 4) quit("takes a collection's folder, how many candidates, and a folder for vectors");
  const Collection c = read(argv[1]);
  const auto top = static_cast<std::size_t>(std::strtoul(argv[2], nullptr, 10));
  const auto encoder = neural::open_encoder({});
  if (!encoder) quit(encoder.error().message);
  std::vector<std::string_view> texts(c.documents.begin(), c.documents.end());
  for (const Query& q : c.queries) texts.emplace_back(q.text);
  neural::EmbedManyOptions options;
  if (argc == 4) options.cache_folder = argv[3];
  const auto vectors = neural::embed_many(**encoder, texts, options);
  if (!vectors) quit(vectors.error().message);
  const Lexical lexical(c.documents);
  const std::size_t n = c.documents.size(), d = (*encoder)->dimension();
  const auto vector = [&](std::size_t i) { return std::span(*vectors).subspan(i * d, d); };
  const auto cosines = [&](std::span<const float> query) {
    std::vector<double> out(n);
    for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<double>(std::inner_product(query.begin(), query.end(), vector(i).begin(), 0.0f));
    return out;
  };
  const std::size_t all = c.queries.size();
  std::vector<Weights> query_words;
  std::vector<std::vector<double>> words(all), dense;
  for (std::size_t q = 0; q < all; ++q) {
    query_words.push_back(Lexical::words_of(c.queries[q].text));
    dense.push_back(cosines(vector(n + q)));
  }
  /// Mean over the first `most` queries of a split that have something relevant.
  const auto mean = [&](std::string_view split, std::size_t most, auto&& of) {
    double sum = 0, queries = 0;
    for (std::size_t q = 0; q < all && queries < static_cast<double>(most); ++q) {
      if (c.queries[q].split != split || c.queries[q].relevant.empty()) continue;
      sum += of(q);
      ++queries;
    }
    return sum / std::max(queries, 1.0);
  };
  double k1 = 1.2, b = 0.75, reached = -1;
  for (const double try_k1 : {0.6, 0.9, 1.2, 1.6, 2.0, 2.5}) {
    for (const double try_b : {0.2, 0.4, 0.6, 0.75, 0.9}) {
      const double value = mean("train", kTuned, [&](std::size_t q) { return ndcg10(c.queries[q], best(lexical.scores(query_words[q], try_k1, try_b), 10)); });
      if (value > reached) reached = value, k1 = try_k1, b = try_b;
    }
  }
  for (std::size_t q = 0; q < all; ++q) words[q] = lexical.scores(query_words[q], k1, b);
  const auto tune = [&](auto&& measure, const auto& lexical_scores, const auto& dense_scores) {
    std::pair<double, double> out{-1, 0};  // reached, weight of words
    for (int tenths = 0; tenths <= 10; ++tenths) {
      const double w = tenths / 10.0;
      const double value = mean("train", kTuned, [&](std::size_t q) { return measure(c.queries[q], fused(lexical_scores[q], dense_scores[q], w)); });
      if (value > out.first) out = {value, w};
    }
    return out;
  };
  const auto ndcg_of = [](const Query& query, const std::vector<double>& scores) { return ndcg10(query, best(scores, 10)); };
  const auto recall_of = [](const Query& query, const std::vector<double>& scores) { return recall(query, best(scores, 100)); };
  const auto [plain_ndcg, plain_weight] = tune(ndcg_of, words, dense);
  /// Of each train query that choices are made on.
  const auto each_tuned = [&](const auto& lexical_scores, const auto& dense_scores, double w) {
    std::vector<double> out;
    [[maybe_unused]] const double same = mean("train", kTuned, [&](std::size_t q) { return out.emplace_back(ndcg_of(c.queries[q], fused(lexical_scores[q], dense_scores[q], w))); });
    return out;
  };
  const std::vector<double> plain = each_tuned(words, dense, plain_weight);
  // Feedback: the best documents so far speak for the query too, by their words and their mean vector.
  std::vector<std::vector<double>> more_words = words, more_dense = dense;
  double feedback_reached = plain_ndcg, share = 0, weight = plain_weight;
  std::size_t documents = 0;
  for (const std::size_t try_documents : {std::size_t{3}, std::size_t{6}, std::size_t{12}}) {
    for (const double try_share : {0.25, 0.5, 1.0}) {
      std::vector<std::vector<double>> fed_words(all), fed_dense(all);
      std::size_t tuned = 0;
      const auto feed = [&](std::size_t q) {
        const auto top_documents = best(fused(words[q], dense[q], plain_weight), try_documents);
        fed_words[q] = lexical.scores(lexical.fed_back(query_words[q], top_documents, try_share), k1, b);
        std::vector<float> moved(vector(n + q).begin(), vector(n + q).end());
        for (const std::size_t i : top_documents)
          for (std::size_t k = 0; k < d; ++k) moved[k] += static_cast<float>(try_share) * vector(i)[k] / static_cast<float>(top_documents.size());
        fed_dense[q] = cosines(moved);
      };
      for (std::size_t q = 0; q < all && tuned < kTuned; ++q) {
        if (c.queries[q].split != "train" || c.queries[q].relevant.empty()) continue;
        feed(q);
        ++tuned;
      }
      const auto [value, w] = tune(ndcg_of, fed_words, fed_dense);
      if (value <= feedback_reached || plain.size() < 2 || calibration::paired_lower_bound(each_tuned(fed_words, fed_dense, w), plain, 0.95) <= 0) continue;
      feedback_reached = value;
      documents = try_documents;
      share = try_share;
      weight = w;
      for (std::size_t q = 0; q < all; ++q)
        if (fed_words[q].empty()) feed(q);
      more_words = std::move(fed_words);
      more_dense = std::move(fed_dense);
    }
  }
  const auto [recall_reached, recall_weight] = tune(recall_of, more_words, more_dense);
  std::string figures, rows;
  JsonWriter f(figures);
  f.begin_object().field("k1", k1).field("b", b).field("weight_of_words", plain_weight).field("feedback_documents", documents).field("feedback_share", share);
  f.field("weight_of_words_after_feedback", weight).field("weight_of_words_for_recall", recall_weight);
  for (const char* const split : {"train", "test"}) {
    const auto value = [&](auto&& of) { return mean(split, all, of); };
    f.key(split).begin_object();
    f.field("bm25_ndcg10", value([&](std::size_t q) { return ndcg_of(c.queries[q], words[q]); }));
    f.field("cosine_ndcg10", value([&](std::size_t q) { return ndcg_of(c.queries[q], dense[q]); }));
    f.field("fused_ndcg10", value([&](std::size_t q) { return ndcg_of(c.queries[q], fused(words[q], dense[q], plain_weight)); }));
    f.field("feedback_ndcg10", value([&](std::size_t q) { return ndcg_of(c.queries[q], fused(more_words[q], more_dense[q], weight)); }));
    f.field("bm25_recall100", value([&](std::size_t q) { return recall_of(c.queries[q], words[q]); }));
    f.field("cosine_recall100", value([&](std::size_t q) { return recall_of(c.queries[q], dense[q]); }));
    f.field("fused_recall100", value([&](std::size_t q) { return recall_of(c.queries[q], fused(more_words[q], more_dense[q], recall_weight)); }));
    f.end_object();
  }
  f.end_object();
  for (std::size_t q = 0; q < all; ++q) {
    const Query& query = c.queries[q];
    for (const std::size_t i : best(fused(more_words[q], more_dense[q], weight), top)) {
      JsonWriter row(rows);
      row.begin_object().field("qid", query.id).field("query", query.text).field("did", c.ids[i]).field("doc", c.documents[i]);
      row.field("rel", query.relevant.contains(i) ? query.relevant.at(i) : 0).field("split", query.split).end_object();
      rows += '\n';
    }
  }
  fmt::print(stderr, "{}\n", figures);
  return std::fwrite(rows.data(), 1, rows.size(), stdout) == rows.size() && std::fflush(stdout) == 0 ? 0 : 1;
}
