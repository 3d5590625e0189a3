#pragma once
/// Which rows are asked about, in which calls, and what that costs. Pure; deterministic for rows and seed.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/money.h"
#include "chat/usage.h"
#include "labelling/question.h"

namespace understudy::labelling {

/// Of a call to the teacher; nullopt: not known.
using PriceOf = std::function<std::optional<Picousd>(const Usage&)>;

/// Places of up to `most` rows, in a random order that depends on contents and seed only: a larger sample begins with the smaller one, and rows of
/// equal content (keys) count once, the first of them. `groups`, where not empty, has each row's group (a query): whole groups are taken, in random
/// order, the last one cut.
/// @param keys  of each row, as key_of
std::vector<std::size_t> sample_rows(std::span<const std::string> keys, std::span<const std::string> groups, std::size_t most, std::uint64_t seed);

/// Places of the `most` rows whose `worth` is greatest, equal ones by place; `from`: the rows that may be taken.
/// @param worth  of each row, not NaN
std::vector<std::size_t> worthiest_rows(std::span<const double> worth, std::span<const std::size_t> from, std::size_t most);

/// Rows in calls of at most `rows_a_call` each. Rows that share a text which is then said once (a query, evidence) stand together where there are enough
/// of them; texts of more than about 48 KB together are spread over several calls.
std::vector<std::vector<std::size_t>> make_batches(Task task, std::span<const Row> rows, std::span<const std::size_t> places, std::size_t rows_a_call);

/// What a call can use at most: each byte may be a token, and the reply is as long as it may be. Its money is set aside for this.
Usage most_usage(const std::string& body, std::int64_t most_output);

struct CostPlan {
  std::size_t rows = 0;     ///< to be asked about
  std::size_t stored = 0;   ///< whose verdict is there already
  std::size_t calls = 0;
  Usage usual;              ///< by rule of thumb
  std::optional<Picousd> usually, most;   ///< nullopt: the price is not known
};
CostPlan plan_cost(const Question& question, std::string_view model, std::span<const Row> rows, std::span<const std::vector<std::size_t>> batches, const PriceOf& price);

}  // namespace understudy::labelling
