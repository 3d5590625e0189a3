#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "neural/encoder.h"
#include "specialists/late_interaction.h"
#include "specialists/rerank_rows.h"
#include "specialists/rerank_specialist.h"

namespace understudy::specialists::internal {

/// Of one query, by its rows; equal scores stay as they came.
double ndcg10_of(std::span<const double> score, std::span<const double> gain, const std::vector<std::uint32_t>& places);
/// Over the queries that have something relevant.
double mean_ndcg10(std::span<const double> score, std::span<const double> gain, const std::vector<std::vector<std::uint32_t>>& queries);

/// How like the query some of the documents are. @param memory  null: nothing is kept
Result<std::vector<Likeness>> likeness_of(const neural::TextEncoder& encoder, TextMemory* memory, std::string_view query, std::span<const std::string_view> documents,
                                          std::span<const std::uint32_t> places);

/// Of some documents those that the gate lets on, in their order. @param log_odds  by place in the list; the earlier first among equals
std::vector<std::uint32_t> let_on(const RerankGate& gate, std::span<const double> log_odds, std::span<const std::uint32_t> among);

std::vector<std::string_view> documents_of(const RerankRows& rows, const std::vector<std::uint32_t>& places);

}  // namespace understudy::specialists::internal
