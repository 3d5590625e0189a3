#include "specialists/internal/rerank_parts.h"

#include <algorithm>

#include "calibration/ranking.h"

namespace understudy::specialists::internal {

double ndcg10_of(std::span<const double> score, std::span<const double> gain, const std::vector<std::uint32_t>& places) {
  std::vector<double> s, g;
  for (const std::uint32_t i : places) s.push_back(score[i]), g.push_back(gain[i]);
  return calibration::ndcg(s, g, 10);
}

double mean_ndcg10(std::span<const double> score, std::span<const double> gain, const std::vector<std::vector<std::uint32_t>>& queries) {
  double sum = 0;
  std::size_t counted = 0;
  for (const auto& places : queries) {
    if (std::ranges::none_of(places, [&](std::uint32_t i) { return gain[i] > 0; })) continue;
    sum += ndcg10_of(score, gain, places);
    ++counted;
  }
  return counted > 0 ? sum / static_cast<double>(counted) : 0;
}

Result<std::vector<Likeness>> likeness_of(const neural::TextEncoder& encoder, TextMemory* memory, std::string_view query, std::span<const std::string_view> documents,
                                          std::span<const std::uint32_t> places) {
  const auto read = [&](std::string_view text) { return read_text(encoder, memory, text.substr(0, retrieval::kReadBytes)); };
  const auto asked = read(query);
  if (!asked) return fail(asked.error());
  std::vector<Likeness> out;
  for (const std::uint32_t i : places) {
    const auto document = read(documents[i]);
    if (!document) return fail(document.error());
    out.push_back(likeness(**asked, **document));
  }
  return out;
}

std::vector<std::uint32_t> let_on(const RerankGate& gate, std::span<const double> log_odds, std::span<const std::uint32_t> among) {
  std::vector<std::uint32_t> order(among.begin(), among.end());
  if (order.empty()) return order;
  std::ranges::stable_sort(order, [&](std::uint32_t a, std::uint32_t b) { return log_odds[a] > log_odds[b]; });
  const double least = log_odds[order[0]] - gate.margin;
  std::size_t on = std::min(order.size(), gate.most);
  while (on > 0 && log_odds[order[on - 1]] < least) --on;
  order.resize(on);
  std::ranges::sort(order);
  return order;
}

std::vector<std::string_view> documents_of(const RerankRows& rows, const std::vector<std::uint32_t>& places) {
  std::vector<std::string_view> documents;
  for (const std::uint32_t i : places) documents.push_back(rows.rows[i].doc);
  return documents;
}

}  // namespace understudy::specialists::internal
