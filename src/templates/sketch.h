#pragma once
/// What is kept of one prompt to find its template: its segments (lines, and sentences of long lines) as hashes, with the
/// text of each, and whether a segment stands inside quoted material. Pure functions; any thread.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace understudy::templates {

enum class Role : std::uint8_t { kSystem, kUser, kAssistant, kTool };

struct PromptPart {
  Role role = Role::kUser;
  std::string_view text;  ///< UTF-8
};

struct Segment {
  std::uint64_t hash = 0;   ///< of the normalised text and the role
  std::uint32_t begin = 0;  ///< its normalised text is PromptSketch::text[begin, begin + size)
  std::uint16_t size = 0;
  Role role = Role::kUser;
  bool quoted = false;      ///< inside a fence, a tag pair, quote marks, or below a header such as "Context:"
};

/// At most kMostSegments segments: the first and the last ones of a longer prompt, which is where instructions stand.
struct PromptSketch {
  static constexpr std::size_t kMostSegments = 96;
  std::vector<Segment> segments;
  std::string text;              ///< lower-case ASCII letters, digits as '0', single spaces
  std::uint32_t turns = 0;       ///< messages of user and assistant
  std::uint64_t prompt_hash = 0; ///< of the whole prompt as it came
  std::string_view segment_text(const Segment& s) const { return std::string_view(text).substr(s.begin, s.size); }
};

PromptSketch sketch(std::span<const PromptPart> prompt);

/// The form of one answer.
enum class AnswerShape : std::uint8_t {
  kNone,       ///< no text
  kIds,        ///< a list of ids or ranks: "[3] > [1] > [2]", "2, 5, 1", ["d3","d1"]
  kScore,      ///< one number, perhaps with a word such as "Score:"
  kYesNo,      ///< yes / no / true / false / supported ..., in several languages, perhaps with a short reason
  kLabel,      ///< one to four words
  kShortText,  ///< one line up to about 30 words: a rewritten query
  kJson,       ///< an object or array that is none of the above
  kJsonScore,  ///< an object around a score or verdict
  kJsonIds,    ///< an object around a list of ids
  kCode,       ///< mostly a fenced block
  kProse,      ///< anything longer
};
inline constexpr std::size_t kAnswerShapes = 11;
AnswerShape answer_shape(std::string_view answer);

}  // namespace understudy::templates
