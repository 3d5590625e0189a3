#include "lessons/few_shots.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <deque>
#include <set>

#include "lessons/internal/single_turn.h"
#include "retrieval/mixed_index.h"

namespace understudy::lessons {

namespace {

constexpr std::size_t kMostStable = 20;
constexpr std::size_t kPool = 40;   // nearest lessons that the choice is made from
constexpr std::size_t kOnTheWay = 64;       // texts that the encoder has at a time
constexpr std::size_t kMostEmbedded = 8'192;   // bytes of a text: far more than an encoder's few hundred tokens

}  // namespace

std::string policy_text(const FewShotPolicy& policy) {
  std::string text = fmt::format("k {} stable {} tokens {} mmr {} nearest last", policy.k, policy.stable, policy.tokens, policy.diversity);
  if (policy.encoder != 0) text += fmt::format(" meaning {} of {:016x}", retrieval::MixedIndex::kMeaning, policy.encoder);
  return text;
}

std::uint32_t example_tokens(const UsableLesson& lesson) {
  return static_cast<std::uint32_t>(std::min<std::size_t>((lesson.text.size() + lesson.answer.size() + 3) / 4 + 8, UINT32_MAX));
}

bool plain_text(std::string_view text) {
  static constexpr std::array<std::string_view, 14> kMarks{"<|",     "|>",      "[INST]",  "[/INST]",         "<<SYS>>",       "<start_of_turn>", "<end_of_turn>",
                                                           "<s>",    "</s>",    "<bos>",   "<eos>",           "[SYSTEM_PROMPT]", "[AVAILABLE_TOOLS]", "[TOOL_RESULTS]"};
  for (const std::string_view mark : kMarks) {
    if (text.find(mark) != std::string_view::npos) return false;
  }
  // DeepSeek's marks have full-width bars, U+FF5C; overrides are U+202A..U+202E and U+2066..U+2069; tags U+E0000..U+E007F.
  if (text.find("<\xef\xbd\x9c") != std::string_view::npos) return false;
  for (std::size_t at = 0; at + 2 < text.size(); ++at) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[at + i]); };
    if (byte(0) == 0xe2 && byte(1) == 0x80 && byte(2) >= 0xaa && byte(2) <= 0xae) return false;
    if (byte(0) == 0xe2 && byte(1) == 0x81 && byte(2) >= 0xa6 && byte(2) <= 0xa9) return false;
    if (byte(0) == 0xf3 && byte(1) == 0xa0 && (byte(2) == 0x80 || byte(2) == 0x81)) return false;
  }
  return true;
}

/// The lessons of one scope.
struct FewShots::Shelf {
  std::uint64_t version = 0;                     ///< of the book's shelf; the refreshing thread's, like the next three
  std::uint64_t next = 1;
  std::unordered_map<std::string, std::uint64_t> number_of;
  std::size_t stable_at = 0;                     ///< lessons when `stable` was chosen

  std::deque<std::uint64_t> without_vector;      ///< the refreshing thread's, too: numbers that the encoder is to be sent

  retrieval::MixedIndex index;                   ///< by number
  mutable std::shared_mutex mutex;
  std::unordered_map<std::uint64_t, std::shared_ptr<const UsableLesson>> lessons;   ///< guarded; by number
  std::vector<std::shared_ptr<const UsableLesson>> stable;                          ///< guarded

  std::shared_ptr<const UsableLesson> find(std::uint64_t number) const {
    const auto found = lessons.find(number);
    return found != lessons.end() ? found->second : nullptr;
  }

  void refresh(const LessonBook& book, const LessonScope& scope) {
    std::set<std::string> here;
    std::vector<std::shared_ptr<const UsableLesson>> fresh;
    book.for_each(scope, [&](const std::shared_ptr<const UsableLesson>& lesson) {
      here.insert(lesson->id);
      if (!number_of.contains(lesson->id) && internal::is_single_turn(*lesson) && plain_text(lesson->text) && plain_text(lesson->answer)) fresh.push_back(lesson);
      return true;
    });
    std::vector<std::pair<std::uint64_t, std::string_view>> texts;
    for (const auto& lesson : fresh) {
      number_of.emplace(lesson->id, next);
      texts.emplace_back(next, lesson->text);
      without_vector.push_back(next);
      const std::unique_lock lock(mutex);
      lessons.emplace(next++, lesson);
    }
    if (texts.size() > 1'000) {
      index.add_all(texts);
    } else {
      for (const auto& [number, text] : texts) index.add(number, text);
    }
    for (auto known = number_of.begin(); known != number_of.end();) {
      if (here.contains(known->first)) {
        ++known;
        continue;
      }
      index.remove(known->second);
      const std::unique_lock lock(mutex);
      lessons.erase(known->second);
      known = number_of.erase(known);
    }
    choose_stable();
  }

  /// The most valuable ones. Chosen again when there are twice as many lessons, or one of them has gone: the prompt's beginning must
  /// not change with every lesson that comes.
  void choose_stable() {
    const auto known = [&](const auto& lesson) { return number_of.contains(lesson->id); };
    const bool whole = std::all_of(stable.begin(), stable.end(), known);
    if (whole && stable_at > 0 && number_of.size() < 2 * stable_at) return;
    stable_at = std::max<std::size_t>(number_of.size(), 1);
    std::vector<std::shared_ptr<const UsableLesson>> all;
    for (const auto& [number, lesson] : lessons) all.push_back(lesson);   // only this thread changes it
    const auto first = [](const auto& a, const auto& b) {
      if (rank(a->provenance) != rank(b->provenance)) return rank(a->provenance) > rank(b->provenance);
      return a->value != b->value ? a->value > b->value : a->id < b->id;
    };
    const auto end = all.begin() + static_cast<std::ptrdiff_t>(std::min(all.size(), kMostStable));
    std::partial_sort(all.begin(), end, all.end(), first);
    all.erase(end, all.end());
    const std::unique_lock lock(mutex);
    stable = std::move(all);
  }
};

/// Vectors on their way from the pool's threads to the refreshing one. Outlives the FewShots where the pool still holds a text.
struct FewShots::Arrivals {
  struct Arrival {
    std::shared_ptr<Shelf> shelf;
    std::uint64_t number = 0;
    retrieval::PackedVector vector;   ///< empty: the runtime failed
  };
  std::mutex mutex;
  std::vector<Arrival> come;   ///< guarded
};

FewShots::FewShots(const LessonBook& book, neural::EncoderPool* encoder) : book_(book), encoder_(encoder), arrivals_(std::make_shared<Arrivals>()) {}
FewShots::~FewShots() = default;

void FewShots::release_encoder() {
  const std::lock_guard lock(encoder_mutex_);
  encoder_ = nullptr;
}

void FewShots::refresh() {
  const std::lock_guard lock(encoder_mutex_);
  read_book();
  take_vectors();
  if (encoder_ != nullptr) ask_for_vectors();
}

void FewShots::take_vectors() {
  std::vector<Arrivals::Arrival> come;
  {
    const std::lock_guard lock(arrivals_->mutex);
    come.swap(arrivals_->come);
  }
  on_the_way_ -= come.size();
  for (const auto& arrival : come) {
    // The lesson may have gone meanwhile.
    if (!arrival.vector.empty() && arrival.shelf->find(arrival.number)) arrival.shelf->index.add_vector(arrival.number, arrival.vector);
  }
}

void FewShots::ask_for_vectors() {
  std::vector<std::shared_ptr<Shelf>> shelves;
  {
    const std::shared_lock lock(mutex_);
    for (const auto& [scope, shelf] : shelves_) shelves.push_back(shelf);
  }
  for (const auto& shelf : shelves) {
    for (auto& waiting = shelf->without_vector; !waiting.empty() && on_the_way_ < kOnTheWay; waiting.pop_front()) {
      const std::uint64_t number = waiting.front();
      const auto lesson = shelf->find(number);
      if (!lesson) continue;
      auto done = [arrivals = arrivals_, shelf, number](std::span<const float> vector) {
        const std::lock_guard lock(arrivals->mutex);
        arrivals->come.push_back({shelf, number, vector.empty() ? retrieval::PackedVector() : retrieval::pack_vector(vector)});
      };
      // Turned away: next time.
      if (!encoder_->embed(lesson->text.substr(0, kMostEmbedded), std::move(done), neural::Lane::kBulk)) return;
      ++on_the_way_;
    }
  }
}

void FewShots::read_book() {
  const std::uint64_t version = book_.version();
  if (version == version_) return;
  version_ = version;   // what changes from here on is seen the next time
  for (const LessonScope& scope : book_.scopes()) {
    std::shared_ptr<Shelf> shelf;
    {
      const std::unique_lock lock(mutex_);
      auto& place = shelves_[scope];
      if (!place) place = std::make_shared<Shelf>();
      shelf = place;
    }
    const std::uint64_t now = book_.version(scope);
    if (shelf->version == now) continue;
    shelf->version = now;
    shelf->refresh(book_, scope);
    if (encoder_ == nullptr) shelf->without_vector.clear();
  }
}

std::shared_ptr<const FewShots::Shelf> FewShots::shelf(const LessonScope& scope) const {
  const std::shared_lock lock(mutex_);
  const auto found = shelves_.find(scope);
  return found != shelves_.end() ? found->second : nullptr;
}

std::size_t FewShots::size(const LessonScope& scope) const {
  const auto found = shelf(scope);
  return found ? found->index.size() : 0;
}

std::size_t FewShots::vectors(const LessonScope& scope) const {
  const auto found = shelf(scope);
  return found ? found->index.vectors() : 0;
}

std::vector<FewShot> FewShots::choose(const LessonScope& scope, std::string_view text, std::uint64_t input_hash, const FewShotPolicy& policy,
                                      std::span<const float> vector) const {
  std::vector<FewShot> chosen;
  const auto here = policy.k > 0 ? shelf(scope) : nullptr;
  if (!here) return chosen;
  const auto k = static_cast<std::size_t>(policy.k);
  std::uint32_t left = policy.tokens;
  const auto fits = [&](const UsableLesson& lesson) { return example_tokens(lesson) <= left; };

  std::vector<retrieval::MixedIndex::Hit> near;
  here->index.nearest(text, vector.empty() ? retrieval::PackedVector() : retrieval::pack_vector(vector), std::max(kPool, 2 * k), near);

  std::vector<FewShot> pool;
  std::vector<std::uint64_t> numbers;
  {
    const std::shared_lock lock(here->mutex);
    // The beginning that is always the same: a lesson of the request's own input is left out, and then it is not.
    for (std::size_t i = 0; i < here->stable.size() && chosen.size() < static_cast<std::size_t>(policy.stable); ++i) {
      const auto& lesson = here->stable[i];
      if (lesson->input_hash == input_hash || !fits(*lesson)) continue;
      left -= example_tokens(*lesson);
      chosen.push_back({lesson, 0, true});
    }
    for (const auto& hit : near) {
      auto lesson = here->find(hit.id);
      const auto taken = [&](const FewShot& shot) { return shot.lesson == lesson; };
      if (!lesson || lesson->input_hash == input_hash || std::any_of(chosen.begin(), chosen.end(), taken)) continue;
      pool.push_back({std::move(lesson), hit.similarity, false});
      numbers.push_back(hit.id);
    }
  }
  const std::size_t stable = chosen.size();

  std::vector<float> shown(pool.size(), 0), like;   // how like each is to what has been taken
  std::vector<bool> out(pool.size(), false);
  while (chosen.size() < k) {
    std::size_t best = pool.size();
    float most = 0;
    for (std::size_t i = 0; i < pool.size(); ++i) {
      if (out[i] || !fits(*pool[i].lesson)) continue;
      const float worth = (1 - policy.diversity) * pool[i].similarity - policy.diversity * shown[i];
      if (best == pool.size() || worth > most) {
        best = i;
        most = worth;
      }
    }
    if (best == pool.size()) break;
    out[best] = true;
    left -= example_tokens(*pool[best].lesson);
    chosen.push_back(pool[best]);
    here->index.likeness(numbers[best], numbers, like);
    for (std::size_t i = 0; i < pool.size(); ++i) shown[i] = std::max(shown[i], like[i]);
  }
  const auto farther = [](const FewShot& a, const FewShot& b) { return a.similarity != b.similarity ? a.similarity < b.similarity : a.lesson->id > b.lesson->id; };
  std::sort(chosen.begin() + static_cast<std::ptrdiff_t>(stable), chosen.end(), farther);
  return chosen;
}

}  // namespace understudy::lessons
