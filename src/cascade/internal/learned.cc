#include "cascade/internal/learned.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "base/hash.h"
#include "base/log.h"
#include "net/timer.h"

namespace understudy::cascade::internal {
namespace {

std::filesystem::path folder_of(const std::filesystem::path& data, std::string_view key) { return data / "learned" / fmt::format("{:016x}", hash64(key)); }
std::string file_name(std::uint64_t id) { return fmt::format("{:016x}.fit", id); }

/// A file a fit, replaced as one.
class Files final : public specialists::FitFiles {
 public:
  explicit Files(std::filesystem::path folder) : folder_(std::move(folder)) {}

  bool write(std::uint64_t id, std::string_view bytes) override {
    std::error_code code;
    std::filesystem::create_directories(folder_, code);
    const std::filesystem::path file = folder_ / file_name(id);
    if (std::filesystem::exists(file, code)) return true;
    const std::string scratch = fmt::format("{}.{}", file.string(), ::getpid());
    const int fd = ::open(scratch.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool whole = fd >= 0;
    for (std::string_view left = bytes; whole && !left.empty();) {
      const ssize_t n = ::write(fd, left.data(), left.size());
      if (n < 0 && errno == EINTR) continue;
      whole = n > 0;
      if (whole) left.remove_prefix(static_cast<std::size_t>(n));
    }
    whole = whole && ::fsync(fd) == 0;
    if (fd >= 0) ::close(fd);
    whole = whole && ::rename(scratch.c_str(), file.c_str()) == 0;
    if (!whole) {
      log::error("what was learnt could not be written to {} ({}), so it is not tested", file.string(), std::strerror(errno));
      ::unlink(scratch.c_str());
    }
    return whole;
  }

  std::optional<std::string> read(std::uint64_t id) override {
    std::ifstream in(folder_ / file_name(id), std::ios::binary);
    if (!in) return std::nullopt;
    return std::string(std::istreambuf_iterator<char>(in), {});
  }

 private:
  std::filesystem::path folder_;
};

}  // namespace

bool may_answer_closed(const chat::ChatRequest& request) {
  return !request.has_tools && request.bypass == chat::Bypass::kNone && request.n == 1 && !request.logprobs;
}

std::string embedded_text(std::string_view body) {
  std::string text = chat::last_user_text(body);
  if (text.size() > kMostEmbedded) text.resize(kMostEmbedded);
  return text;
}

specialists::RowInput LearnedReader::input_of(const chat::ChatRequest& request, std::string_view body) {
  specialists::RowInput input;
  if (!may_answer_closed(request)) return input;
  extractor_.extract(chat::last_user_text(body), input.terms);
  retrieval::sort_terms(input.terms);
  return input;
}

LearnedReading LearnedReader::read(const specialists::RowInput& input, std::shared_ptr<const specialists::TextFit> fit) {
  LearnedReading reading;
  reading.terms = specialists::pack_input(input);
  if (fit == nullptr || input.terms.empty()) return reading;
  reading.says = fit->say(input, scratch_);
  reading.fit = std::move(fit);
  return reading;
}

net::Awaitable<std::vector<float>> embed_text(neural::EncoderPool& pool, std::string text, net::Reactor& reactor) {
  struct Waiting {
    explicit Waiting(net::Reactor& r) : ready(r) {}
    net::Event ready;
    std::vector<float> vector;
  };
  auto waiting = std::make_shared<Waiting>(reactor);
  net::Reactor* const here = &reactor;
  // The event moves along, so that it is let go of on its own reactor.
  auto done = [here, waiting](std::span<const float> vector) mutable {
    waiting->vector.assign(vector.begin(), vector.end());
    here->post([waiting = std::move(waiting)] { waiting->ready.set(); });
  };
  if (!pool.embed(std::move(text), std::move(done))) co_return std::vector<float>();
  [[maybe_unused]] const bool set = co_await waiting->ready.wait();
  co_return std::move(waiting->vector);
}

std::optional<double> learned_confidence(const calibration::LadderPolicy& policy, std::size_t index, Stage stage, const LearnedReading& reading) {
  if (!reading.fit) return std::nullopt;
  const auto& said = reading.says.of(kind_of(stage));
  if (!said.usable) return std::nullopt;
  return policy.rungs[index].model.probability(static_cast<double>(said.raw), said.features);
}

CachedAnswer learned_completion(const std::string& answer, std::string_view request_id, std::string_view body, Stage stage, std::string_view model, WallTime now) {
  chat::Answer whole;
  whole.id = fmt::format("chatcmpl-{}", request_id);
  whole.created = now.us / 1'000'000;
  whole.content = answer;
  whole.finish_reason = "stop";
  Usage usage;
  usage.input = chat::estimate_tokens(body);
  usage.output = chat::estimate_tokens(answer);
  usage.estimated = true;
  whole.usage = usage;
  CachedAnswer out;
  out.completion = chat::render_completion(whole, {});
  out.stage = stage;
  out.model = model;
  out.usage = usage;
  return out;
}

void teach(calibration::LabelledRow& row, const chat::Answer& teacher) {
  if (row.terms.empty()) return;
  const bool choice = teacher.content && !teacher.content->empty() && teacher.content->size() <= specialists::kLongestAnswer && teacher.tool_calls.empty() &&
                      !teacher.refusal && teacher.finish_reason == "stop";
  if (choice) {
    row.answer = *teacher.content;
  } else {
    row.terms.clear();
  }
}

std::shared_ptr<const calibration::RungLearner> make_learner(std::span<const Rung> ladder, const std::optional<calibration::ComparatorSpec>& compare,
                                                             const std::filesystem::path& data, std::string_view key) {
  std::vector<specialists::LearnedRung> rungs;
  for (std::size_t i = 0; i < ladder.size(); ++i) {
    if (ladder[i].learns()) rungs.push_back({i, kind_of(ladder[i].stage)});
  }
  if (rungs.empty()) return nullptr;
  auto agrees = [compare](std::string_view a, std::string_view b) {
    if (a == b) return true;
    calibration::ComparatorSpec by_shape;
    const calibration::AnswerView left{a, {}}, right{b, {}};
    if (!compare) by_shape.comparator = calibration::default_comparator(right);
    return calibration::agrees(compare ? *compare : by_shape, left, right);
  };
  std::shared_ptr<Files> files;
  if (!data.empty()) files = std::make_shared<Files>(folder_of(data, key));
  return std::make_shared<specialists::TextLearner>(std::move(rungs), std::move(agrees), std::move(files));
}

void prune_fits(const std::filesystem::path& data, std::string_view key, std::span<const std::uint64_t> used) {
  if (data.empty()) return;
  std::error_code code;
  for (const auto& entry : std::filesystem::directory_iterator(folder_of(data, key), code)) {
    const std::string name = entry.path().filename();
    const bool named = std::any_of(used.begin(), used.end(), [&](std::uint64_t id) { return name == file_name(id); });
    if (!named && name.ends_with(".fit")) std::filesystem::remove(entry.path(), code);
  }
}

}  // namespace understudy::cascade::internal
