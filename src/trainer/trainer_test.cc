// The program as a whole, run as `understudy train` runs it: on a tiny model with random weights where libtorch is, else skipped.
#include <gtest/gtest.h>
#include <simdjson.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <fmt/format.h>

#include "base/random.h"
#include "neural/pair_scorer.h"
#include "neural/tiny_model_test_util.h"
#include "trainer/job.h"
#include "trainer/run_trainer.h"

namespace understudy::trainer {
namespace {

namespace fs = std::filesystem;

#define NEEDS_TRAINER()                                             \
  if (const auto trainer = find_trainer(); !trainer) {              \
    ASSERT_EQ(trainer.error().kind, ErrorKind::kUnsupported);       \
    GTEST_SKIP() << trainer.error().message;                        \
  }

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void write(const fs::path& path, std::string_view text) { std::ofstream(path, std::ios::binary) << text; }

/// A folder with a tiny encoder, rows and a job. In each group the row that repeats the query's word is the good one.
class Workplace {
 public:
  explicit Workplace(const std::string& name) : folder_(fs::temp_directory_path() / fmt::format("understudy_trainer_{}_{}", name, getpid())) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    encoder_ = neural::testing::TinyModel{}.write("trainer_" + name);
    job_.encoder = encoder_.string();
    job_.rows = (folder_ / "rows.jsonl").string();
    job_.held_back = (folder_ / "held_back.jsonl").string();
    job_.epochs = 4;
    job_.max_tokens = 16;
    job_.learning_rate = 2e-3;
    job_.checkpoint_steps = 3;
    job_.patience = 100;
    write(job_.rows, rows(1, 24));
    write(job_.held_back, rows(2, 12));
  }
  ~Workplace() {
    fs::remove_all(folder_);
    fs::remove_all(encoder_);
  }

  Job& job() { return job_; }
  fs::path path(const std::string& name) const { return folder_ / name; }
  fs::path write_job() {
    write(path("job.json"), job_.to_json());
    return path("job.json");
  }
  Result<TrainingOutcome> train(const std::string& out, std::function<void(const TrainingProgress&)> progress = {}) {
    return run_trainer({write_job(), path(out), std::move(progress), {}});
  }
  std::string weights(const std::string& out) const { return read(path(out) / "model.safetensors"); }

  /// Texts whose label is one of their words.
  static std::string labelled_rows(std::uint64_t seed, std::size_t count) {
    static constexpr std::array kWords = {"card", "pin", "money"};
    SeededRandom random(seed);
    std::string out;
    for (std::size_t i = 0; i < count; ++i) {
      PairRow row{"", "", "", 0, 1, kWords[random.below(kWords.size())]};
      row.first = fmt::format("where is {} {}?", random.below(2) == 0 ? "my" : "the", row.label);
      append_pair_row(out, row);
    }
    return out;
  }

  static std::string rows(std::uint64_t seed, std::size_t groups) {
    static constexpr std::array kWords = {"card", "pin", "money", "lost", "transfer", "where"};
    SeededRandom random(seed);
    std::string out;
    for (std::size_t g = 0; g < groups; ++g) {
      const std::size_t good = random.below(kWords.size());
      for (std::size_t i = 0; i < kWords.size(); ++i) {
        PairRow row{fmt::format("q{}", g), fmt::format("where is my {}?", kWords[good]), fmt::format("the {} is not {}.", kWords[i], kWords[random.below(kWords.size())]), i == good ? 1.0 : 0.0, 1};
        append_pair_row(out, row);
      }
    }
    return out;
  }

 private:
  fs::path folder_, encoder_;
  Job job_;
};

/// What the program prints, given a text on its standard input.
std::string printed(const std::vector<std::string>& words, const std::string& input) {
  const auto program = find_trainer();
  if (!program) return "";
  const fs::path in = fs::temp_directory_path() / fmt::format("understudy_trainer_input_{}", getpid());
  write(in, input);
  std::string command = program->string();
  for (const std::string& word : words) command += " '" + word + "'";
  command += " < " + in.string();
  std::string out;
  std::array<char, 4096> bytes;
  FILE* const pipe = ::popen(command.c_str(), "r");
  for (std::size_t n = 0; pipe != nullptr && (n = std::fread(bytes.data(), 1, bytes.size(), pipe)) > 0;) out.append(bytes.data(), n);
  EXPECT_EQ(::pclose(pipe), 0) << command;
  fs::remove(in);
  return out;
}

std::vector<double> numbers(const std::string& lines, const char* key) {
  std::vector<double> values;
  simdjson::dom::parser parser;
  for (std::size_t at = 0; at < lines.size();) {
    const std::size_t end = std::min(lines.find('\n', at), lines.size());
    const auto object = parser.parse(std::string_view(lines).substr(at, end - at)).value();
    at = end + 1;
    if (object[key].is_array()) {
      const auto array = object[key].get_array().value();
      for (const auto value : array) values.push_back(value.get_double().value());
    } else {
      values.push_back(object[key].get_double().value());
    }
  }
  return values;
}

TEST(Trainer, LearnsToOrderAndSaysHowWell) {
  NEEDS_TRAINER();
  for (const Loss loss : {Loss::kListwise, Loss::kMargin, Loss::kPointwise}) {
    Workplace work(fmt::format("learns_{}", loss_name(loss)));
    work.job().loss = loss;
    if (loss == Loss::kPointwise) work.job().rows_per_step = 24;
    std::size_t told = 0;
    const auto done = work.train("out", [&](const TrainingProgress& progress) {
      ++told;
      EXPECT_EQ(progress.step, told);
      EXPECT_GE(progress.seconds_left, 0);
      EXPECT_TRUE(std::isfinite(progress.loss));
    });
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(told, 24u);
    EXPECT_EQ(done->steps, 24u);
    EXPECT_EQ(done->metric, "ndcg10");
    EXPECT_GT(done->kept, done->before + 0.05) << loss_name(loss);
    EXPECT_GT(done->kept_step, 0u);
    EXPECT_FALSE(fs::exists(work.path("out.training")));
    EXPECT_NE(read(work.path("out") / "training.json").find("\"kept_step\""), std::string::npos);
  }
}

TEST(Trainer, LearnsLabelsAndWritesAnEncoder) {
  NEEDS_TRAINER();
  Workplace work("labels");
  work.job().loss = Loss::kLabels;
  work.job().rows_per_step = 8;
  write(work.job().rows, Workplace::labelled_rows(1, 48));
  write(work.job().held_back, Workplace::labelled_rows(2, 24));
  const auto done = work.train("out");
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->steps, 24u);
  EXPECT_EQ(done->metric, "log_loss");
  EXPECT_LT(done->kept, done->before - 0.3) << "before: " << done->before;
  EXPECT_FALSE(fs::exists(work.path("out") / "pair_head.json")) << "it scores no pairs";
  ASSERT_TRUE(work.train("again"));
  EXPECT_TRUE(work.weights("out") == work.weights("again")) << "the same job gave other weights";

  neural::EncoderOptions options;
  options.folder = work.path("out");
  options.precision = neural::Precision::kFloat32;
  const auto encoder = neural::open_encoder(options);
  if (!encoder) GTEST_SKIP() << encoder.error().message;
  const std::vector<std::string_view> texts = {"where is my card?", "where is the pin?", "why", ""};
  std::string input;
  for (const auto text : texts) append_pair_row(input, {"", std::string(text), "", 0, 1});
  const auto theirs = numbers(printed({"embed", options.folder.string()}, input), "vector");
  std::vector<float> ours(texts.size() * (*encoder)->dimension());
  ASSERT_TRUE((*encoder)->embed(texts, ours));
  ASSERT_EQ(theirs.size(), ours.size());
  for (std::size_t i = 0; i < ours.size(); ++i) EXPECT_NEAR(ours[i], theirs[i], 2e-6) << i;
}

TEST(Trainer, AfterKillNineEndsWithTheBitsOfAnUninterruptedTraining) {
  NEEDS_TRAINER();
  Workplace work("killed");
  ASSERT_TRUE(work.train("whole"));
  ASSERT_TRUE(work.train("again"));
  EXPECT_TRUE(work.weights("whole") == work.weights("again")) << "the same job gave other weights";

  std::string program = find_trainer()->string(), job = work.write_job().string(), out = work.path("killed").string(), train = "train", flag = "--out";
  for (const int kill_after_step : {2, 10, 17}) {  // before the first checkpoint; between two; between two others
    int pipe[2];
    ASSERT_EQ(::pipe(pipe), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe[1], 1);
    char* argv[] = {program.data(), train.data(), job.data(), flag.data(), out.data(), nullptr};
    pid_t child = -1;
    ASSERT_EQ(::posix_spawn(&child, program.c_str(), &actions, nullptr, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    ::close(pipe[1]);
    FILE* const lines = ::fdopen(pipe[0], "r");
    std::array<char, 4096> line;
    bool reached = false;
    while (!reached && std::fgets(line.data(), line.size(), lines) != nullptr)
      reached = std::string_view(line.data()).find(fmt::format("\"step\",\"step\":{},", kill_after_step)) != std::string_view::npos;
    EXPECT_TRUE(reached);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    std::fclose(lines);
    EXPECT_FALSE(fs::exists(work.path("killed")));
  }
  std::size_t steps_told = 0;
  const auto done = work.train("killed", [&](const TrainingProgress&) { ++steps_told; });
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_LT(steps_told, 12u) << "it did not go on from its checkpoint";
  EXPECT_TRUE(work.weights("whole") == work.weights("killed")) << "an interrupted training ended with other weights";
}

TEST(Trainer, StoppedInOrderKeepsWhatWasDone) {
  NEEDS_TRAINER();
  Workplace work("stopped");
  work.job().checkpoint_steps = 1000000;
  std::stop_source stop;
  const auto stopped = run_trainer({work.write_job(), work.path("out"), [&](const TrainingProgress& p) { if (p.step == 2) stop.request_stop(); }, stop.get_token()});
  if (!stopped) {  // a fast machine may end first
    ASSERT_EQ(stopped.error().kind, ErrorKind::kCancelled) << stopped.error().message;
    EXPECT_TRUE(fs::exists(work.path("out.training") / "checkpoint.safetensors"));
    const auto done = work.train("out");
    ASSERT_TRUE(done) << done.error().message;
  }
  ASSERT_TRUE(work.train("whole"));
  EXPECT_TRUE(work.weights("whole") == work.weights("out"));
}

TEST(Trainer, StopsEarlyAndKeepsTheBestStep) {
  NEEDS_TRAINER();
  Workplace work("early");
  write(work.job().held_back, read(work.job().rows));
  work.job().learning_rate = 1;  // ruins the network at once
  work.job().patience = 2;
  const auto done = work.train("out");
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_LT(done->steps, 24u);
  EXPECT_GE(done->kept, done->before);
}

void serving_computes_the_same(neural::PairHeadKind head) {
  Workplace work(fmt::format("equal_{}", neural::pair_head_name(head)));
  work.job().head = head;
  ASSERT_TRUE(work.train("out"));
  neural::EncoderOptions options;
  options.folder = work.path("out");
  options.precision = neural::Precision::kFloat32;
  const auto scorer = neural::open_pair_scorer(options);
  if (!scorer) GTEST_SKIP() << scorer.error().message;
  const std::vector<std::pair<std::string, std::string>> texts = {{"where is my card?", "the card is lost."}, {"", "a b"}, {"a b", ""}, {"", ""},
                                                                  {"why", "my my my my my my my my my my my my my my my my my my my my"}};
  std::string input;
  std::vector<neural::TextPair> pairs;
  for (const auto& [first, second] : texts) {
    append_pair_row(input, {"", first, second, 0, 1});
    pairs.push_back({first, second});
  }
  std::vector<float> together(pairs.size());
  ASSERT_TRUE((*scorer)->score(pairs, together));
  const auto expected = numbers(printed({"score", options.folder.string()}, input), "score");
  ASSERT_EQ(expected.size(), pairs.size());
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    EXPECT_NEAR(together[i], expected[i], 1e-4) << i;  // of scores of 20 and more
    float alone = 0;
    ASSERT_TRUE((*scorer)->score(std::span(pairs).subspan(i, 1), std::span(&alone, 1)));
    EXPECT_NEAR(alone, together[i], 1e-4);
  }
  // What goes on from it keeps its head, whatever the job says.
  work.job().encoder = work.path("out").string();
  work.job().head = neural::PairHeadKind::kHybrid;
  work.job().epochs = 1;
  const auto on = work.train("on");
  ASSERT_TRUE(on) << on.error().message;
  EXPECT_EQ(read(work.path("on") / "pair_head.json"), read(work.path("out") / "pair_head.json"));
}

TEST(Trainer, ServingComputesTheSameScoresAsTraining) {
  NEEDS_TRAINER();
  for (const neural::PairHeadKind head : {neural::PairHeadKind::kHybrid, neural::PairHeadKind::kInteraction}) {
    SCOPED_TRACE(neural::pair_head_name(head));
    serving_computes_the_same(head);
  }
}

TEST(Trainer, ComputesTheVectorsOfTheServedEncoder) {
  NEEDS_TRAINER();
  const auto folder = neural::default_encoder_folder();
  if (!folder) GTEST_SKIP() << folder.error().message;
  neural::EncoderOptions options;
  options.precision = neural::Precision::kFloat32;
  const auto encoder = neural::open_encoder(options);
  if (!encoder) GTEST_SKIP() << encoder.error().message;
  const std::vector<std::string> texts = {"where is my card?", "Who wrote \"The Trial\"?", "", "caf\xc3\xa9 na\xc3\xafve", std::string(3000, 'x') + " and a long tail of words that does not fit"};
  std::string input;
  for (const std::string& text : texts) append_pair_row(input, {"", text, "", 0, 1});
  const auto theirs = numbers(printed({"embed", folder->string()}, input), "vector");
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  std::vector<float> ours(texts.size() * (*encoder)->dimension());
  ASSERT_TRUE((*encoder)->embed(views, ours));
  ASSERT_EQ(theirs.size(), ours.size());
  for (std::size_t i = 0; i < ours.size(); ++i) EXPECT_NEAR(ours[i], theirs[i], 2e-6) << i;
}

TEST(Trainer, RefusesWhatItCannotLearnFrom) {
  NEEDS_TRAINER();
  const auto refused = [](const char* name, auto&& change) {
    Workplace work(name);
    change(work);
    const auto done = work.train("out");
    EXPECT_FALSE(done);
    EXPECT_FALSE(fs::exists(work.path("out")) && !fs::exists(work.path("out") / "kept"));
    return done ? std::string() : done.error().message;
  };
  EXPECT_NE(refused("alike", [](Workplace& w) { write(w.job().rows, "{\"group\":\"a\",\"first\":\"x\",\"second\":\"y\",\"target\":1}\n"); }).find("no group has rows with different targets"), std::string::npos);
  EXPECT_NE(refused("empty", [](Workplace& w) { write(w.job().rows, ""); }).find("no group has rows"), std::string::npos);
  const auto labels = [](std::string_view rows, std::string_view held) {
    return [rows, held](Workplace& w) {
      w.job().loss = Loss::kLabels;
      write(w.job().rows, rows);
      write(w.job().held_back, held);
    };
  };
  constexpr std::string_view kTwo = "{\"first\":\"x\",\"second\":\"\",\"label\":\"a\"}\n{\"first\":\"y\",\"second\":\"\",\"label\":\"b\"}\n";
  EXPECT_NE(refused("one_label", labels("{\"first\":\"x\",\"second\":\"\",\"label\":\"a\"}\n", kTwo)).find("all rows have the label \"a\""), std::string::npos);
  EXPECT_NE(refused("new_label", labels(kTwo, "{\"first\":\"x\",\"second\":\"\",\"label\":\"c\"}\n")).find("row 1 has the label \"c\", which no row to learn from has"), std::string::npos);
  EXPECT_NE(refused("no_label", labels("{\"first\":\"x\",\"second\":\"\",\"target\":1}\n", kTwo)).find("row 1 has no label"), std::string::npos);
  EXPECT_NE(refused("a_label", [&](Workplace& w) { write(w.job().rows, kTwo); }).find("set loss to labels"), std::string::npos);
  EXPECT_NE(refused("bytes", [](Workplace& w) { write(w.job().rows, "{\"first\":\"\xff\",\"second\":\"y\",\"target\":1}\n"); }).find("line 1: is no JSON"), std::string::npos);
  EXPECT_NE(refused("no_model", [](Workplace& w) { w.job().encoder = "/nowhere"; }).find("/nowhere is no folder"), std::string::npos);
  EXPECT_NE(refused("long", [](Workplace& w) { w.job().max_tokens = 4000; }).find("reads 40 tokens at most"), std::string::npos);
  EXPECT_NE(refused("there", [](Workplace& w) { fs::create_directories(w.path("out") / "kept"); }).find("exists: name another folder"), std::string::npos);
  EXPECT_NE(refused("other", [](Workplace& w) {
              fs::create_directories(w.path("out.training"));
              write(w.path("out.training") / "checkpoint.safetensors", "no weights at all, but long enough to be read as a length");
            }).find("to begin anew"),
            std::string::npos);
}

TEST(Trainer, WillNotGoOnWithTheCheckpointOfAnotherJob) {
  NEEDS_TRAINER();
  Workplace work("conflict");
  std::stop_source stop;
  const auto stopped = run_trainer({work.write_job(), work.path("out"), [&](const TrainingProgress& p) { if (p.step == 1) stop.request_stop(); }, stop.get_token()});
  if (stopped) GTEST_SKIP() << "the training ended before it could be stopped";
  work.job().seed = 2;
  const auto done = work.train("out");
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().message.find("is of another training"), std::string::npos) << done.error().message;
}

}  // namespace
}  // namespace understudy::trainer
