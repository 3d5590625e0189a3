#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "neural/encoder.h"

namespace understudy::specialists::internal {

/// Over the queries that have something relevant.
double mean_ndcg10(std::span<const double> score, std::span<const double> gain, const std::vector<std::vector<std::uint32_t>>& queries);

/// Of the query's vector and each document's.
Result<std::vector<float>> cosines(const neural::TextEncoder& encoder, std::string_view query, std::span<const std::string_view> documents);

}  // namespace understudy::specialists::internal
