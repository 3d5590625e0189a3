#pragma once
/// Reads out of a prompt what a task's specialist needs, by a template that says how the prompt is written.
///
///     Query: {query}
///     Passages:
///     {documents}
///     Rank the passages.
///
/// All but the slots is fixed text and must be there; runs of white space count as one (a line break stays a line break), and white space around
/// a slot's text is dropped. A slot may stand twice: then both texts must be equal. Each of {documents} begins a line and is written as
/// `document` says ("[{n}] {document}").
///
/// A prompt is never guessed at: where its slots could be read in more than one way (a claim that itself holds the words between the slots, a
/// passage with a line that looks like the next passage) it does not match.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace understudy::templates {

inline constexpr std::size_t kMostDocuments = 1'000;
inline constexpr std::size_t kLongestPrompt = 4 * 1024 * 1024;   ///< bytes

/// What a prompt says. Texts are trimmed, their runs of white space are one space or one line break.
struct Slots {
  std::string query, claim, evidence;
  std::vector<std::string> documents;   ///< {documents}, or the one {document}
  std::vector<std::string> ids;         ///< as many: what the prompt calls each; the place from 1 on where it calls them nothing
};

/// Immutable, thread-safe.
class SlotTemplate {
 public:
  /// Slots: {query}, {documents} or {document}, {claim}, {evidence}; {count}: the number of documents; {any}: whatever stands there.
  /// @param document  of each of {documents}: with {document}, and {n} (1, 2, 3, ... or from 0 on) or {id} before it
  /// kConfig with `param` "extract" or "document", the message to be put behind it: no slot, an unknown one, two without words between them, {documents}
  /// without `document` or the other way round, or a `document` that a line could not be told by.
  static Result<SlotTemplate> parse(std::string_view text, std::string_view document);

  /// nullopt where the prompt is not written so, a slot is empty or there are none or too many documents. O(bytes).
  std::optional<Slots> match(std::string_view prompt) const;

  bool has(std::string_view slot) const;   ///< "query", ...
  bool ids() const { return by_id_; }      ///< documents have ids of their own
  const std::string& text() const { return text_; }   ///< names it: template and document, normalised

 private:
  struct Block {
    std::string before, between, after;   ///< the number or id, the text
  };
  std::optional<std::vector<std::string_view>> values(std::string_view prompt) const;
  bool read_documents(std::string_view region, Slots& slots) const;

  std::vector<std::string> fixed_;   ///< one more than slots: before, between, after; the outer two may be empty
  std::vector<std::string> slots_;
  Block block_;
  bool by_id_ = false;
  std::string text_;
};

}  // namespace understudy::templates
