#pragma once
/// The vote of the nearest examples by cosine, from an inverted index over the same vectors that the linear model reads.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "retrieval/hashed_text.h"

namespace understudy::retrieval {

/// Immutable, thread-safe with one Scratch a thread.
///
/// Work is bounded however many examples there are: a query walks the lists of its rarest terms first and stops before it would
/// read more than kMostPostings entries, so the cosines of a large index miss the share of its commonest terms, whose weight is
/// least. Lists longer than that are not kept. Up to a few hundred short texts nothing is left out; at 8,000, reading four times as
/// much lowered the log loss of the mix by a hundredth of itself. Memory: 6 bytes an entry, about 0.6 KB a text of 60 characters.
class NeighbourIndex {
 public:
  static constexpr std::size_t kMostPostings = 1 << 13;
  static constexpr std::size_t kNeighbours = 10;
  static constexpr float kSharpness = 20;  ///< a vote weighs exp(20 * (cosine - best cosine))

  /// Grows to the number of examples; reused from query to query.
  struct Scratch {
    std::vector<float> cosine;
    std::vector<std::uint32_t> touched;
    std::vector<TermSpace::Entry> rarest_first;
  };
  struct Vote {
    std::uint32_t label = 0;
    float share = 0;
  };

  NeighbourIndex() = default;
  /// Rows are placed by one TermSpace; row i is entries[start[i] .. start[i + 1]) and has labels[i].
  static NeighbourIndex create(std::size_t columns, std::span<const TermSpace::Entry> entries, std::span<const std::size_t> start,
                               std::span<const std::uint32_t> labels);

  /// Labels of the nearest examples with their share of the votes (sum 1), the greatest first. Empty where no example shares a term.
  /// @param best  receives the greatest cosine, 0 where none
  void vote(std::span<const TermSpace::Entry> query, Scratch& scratch, std::vector<Vote>& votes, float& best) const;

  std::size_t examples() const { return labels_.size(); }

 private:
  std::vector<std::size_t> start_;        // of a column's list; columns + 1
  std::vector<std::uint32_t> example_;
  std::vector<std::uint16_t> weight_;     // of 65535
  std::vector<std::uint32_t> labels_;     // by example
};

}  // namespace understudy::retrieval
