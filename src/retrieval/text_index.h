#pragma once
/// Finds the texts that are most like a text. What "like" means is the implementation's; nothing here knows of terms or vectors.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace understudy::retrieval {

class TextIndex {
 public:
  struct Hit {
    std::uint64_t id = 0;
    float similarity = 0;   ///< 1 for equal texts, 0 for texts that share nothing
    friend bool operator==(const Hit&, const Hit&) = default;
  };

  virtual ~TextIndex() = default;

  /// Adds a text under an id of the caller's, or replaces the one that had it. A text in which there is nothing to look for is
  /// kept, and never found.
  virtual void add(std::uint64_t id, std::string_view text) = 0;

  /// False where the id is not known. What is removed is not found by any search that begins afterwards.
  virtual bool remove(std::uint64_t id) = 0;

  /// The `k` most similar texts, the most similar first, the smaller id first among equals; fewer where fewer share anything
  /// with `text`. Replaces `out`.
  virtual void nearest(std::string_view text, std::size_t k, std::vector<Hit>& out) const = 0;

  /// How like the texts `of` are to the one under id `to`: one number each, in their order, 0 where an id is not known. Replaces `out`.
  virtual void likeness(std::uint64_t to, std::span<const std::uint64_t> of, std::vector<float>& out) const = 0;

  virtual std::size_t size() const = 0;
};

}  // namespace understudy::retrieval
