// First-stage retrieval for the rerankers' bars: BM25 over stems and the sentence encoder's cosines, k1, b and the weight between them tuned on the train queries.
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
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <fmt/format.h>
#include <simdjson.h>

#include "base/json_writer.h"
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

/// Postings by stem; scores are O(entries of the query's stems).
class Lexical {
 public:
  explicit Lexical(const std::vector<std::string>& documents) : length_(documents.size()) {
    for (std::size_t d = 0; d < documents.size(); ++d) {
      std::map<std::uint32_t, float> count;
      const auto stems = retrieval::stem_words(documents[d]);
      for (const std::uint32_t stem : stems) ++count[stem];
      for (const auto& [stem, n] : count) postings_[stem].emplace_back(d, n);
      length_[d] = static_cast<double>(stems.size());
      mean_ += length_[d] / static_cast<double>(documents.size());
    }
  }
  std::vector<double> scores(const std::string& query, double k1, double b) const {
    std::vector<double> out(length_.size());
    for (const std::uint32_t stem : retrieval::stem_words(query)) {
      const auto found = postings_.find(stem);
      if (found == postings_.end()) continue;
      const auto df = static_cast<double>(found->second.size());
      const double rarity = std::log1p((static_cast<double>(length_.size()) - df + 0.5) / (df + 0.5));
      for (const auto& [d, n] : found->second) {
        const auto count = static_cast<double>(n);
        out[d] += rarity * count * (k1 + 1) / (count + k1 * (1 - b + b * length_[d] / mean_));
      }
    }
    return out;
  }

 private:
  std::unordered_map<std::uint32_t, std::vector<std::pair<std::size_t, float>>> postings_;
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
  std::vector<std::vector<double>> dense;
  for (std::size_t q = 0; q < c.queries.size(); ++q) {
    dense.emplace_back(n);
    for (std::size_t i = 0; i < n; ++i) {
      const auto a = vectors->begin() + static_cast<std::ptrdiff_t>((n + q) * d);
      dense[q][i] = static_cast<double>(std::inner_product(a, a + static_cast<std::ptrdiff_t>(d), vectors->begin() + static_cast<std::ptrdiff_t>(i * d), 0.0f));
    }
  }
  /// Mean over the queries of a split that have something relevant.
  const auto mean = [&](std::string_view split, auto&& of) {
    double sum = 0, queries = 0;
    for (std::size_t q = 0; q < c.queries.size(); ++q) {
      if (c.queries[q].split != split || c.queries[q].relevant.empty()) continue;
      sum += of(q);
      ++queries;
    }
    return sum / std::max(queries, 1.0);
  };
  double k1 = 1.2, b = 0.75, reached = -1;
  for (const double try_k1 : {0.6, 0.9, 1.2, 1.6, 2.0, 2.5}) {
    for (const double try_b : {0.2, 0.4, 0.6, 0.75, 0.9}) {
      const double value = mean("train", [&](std::size_t q) { return ndcg10(c.queries[q], best(lexical.scores(c.queries[q].text, try_k1, try_b), 10)); });
      if (value > reached) reached = value, k1 = try_k1, b = try_b;
    }
  }
  std::vector<std::vector<double>> words;
  for (const Query& q : c.queries) words.push_back(lexical.scores(q.text, k1, b));
  double order_weight = 0, order_reached = -1, recall_weight = 0, recall_reached = -1;
  for (int tenths = 0; tenths <= 10; ++tenths) {
    const double w = tenths / 10.0;
    const double order = mean("train", [&](std::size_t q) { return ndcg10(c.queries[q], best(fused(words[q], dense[q], w), 10)); });
    const double found = mean("train", [&](std::size_t q) { return recall(c.queries[q], best(fused(words[q], dense[q], w), 100)); });
    if (order > order_reached) order_reached = order, order_weight = w;
    if (found > recall_reached) recall_reached = found, recall_weight = w;
  }
  std::string figures, rows;
  JsonWriter f(figures);
  f.begin_object().field("k1", k1).field("b", b).field("weight_of_words", order_weight).field("weight_of_words_for_recall", recall_weight);
  for (const char* const split : {"train", "test"}) {
    f.key(split).begin_object();
    f.field("bm25_ndcg10", mean(split, [&](std::size_t q) { return ndcg10(c.queries[q], best(words[q], 10)); }));
    f.field("cosine_ndcg10", mean(split, [&](std::size_t q) { return ndcg10(c.queries[q], best(dense[q], 10)); }));
    f.field("fused_ndcg10", mean(split, [&](std::size_t q) { return ndcg10(c.queries[q], best(fused(words[q], dense[q], order_weight), 10)); }));
    f.field("bm25_recall100", mean(split, [&](std::size_t q) { return recall(c.queries[q], best(words[q], 100)); }));
    f.field("cosine_recall100", mean(split, [&](std::size_t q) { return recall(c.queries[q], best(dense[q], 100)); }));
    f.field("fused_recall100", mean(split, [&](std::size_t q) { return recall(c.queries[q], best(fused(words[q], dense[q], recall_weight), 100)); }));
    f.end_object();
  }
  f.end_object();
  for (std::size_t q = 0; q < c.queries.size(); ++q) {
    const Query& query = c.queries[q];
    for (const std::size_t i : best(fused(words[q], dense[q], order_weight), top)) {
      JsonWriter row(rows);
      row.begin_object().field("qid", query.id).field("query", query.text).field("did", c.ids[i]).field("doc", c.documents[i]);
      row.field("rel", query.relevant.contains(i) ? query.relevant.at(i) : 0).field("split", query.split).end_object();
      rows += '\n';
    }
  }
  fmt::print(stderr, "{}\n", figures);
  return std::fwrite(rows.data(), 1, rows.size(), stdout) == rows.size() && std::fflush(stdout) == 0 ? 0 : 1;
}
