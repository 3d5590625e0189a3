// The journal's and the writer's cost. `store_bench` prints Google Benchmark's table; the whole-path rows report CPU per
// request of all the store's threads (process clock), which is what a gateway pays. README.md has a table of measured values.
#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/random.h"
#include "store/curve.h"
#include "store/internal/codec.h"
#include "store/queries.h"
#include "store/store.h"

namespace understudy::store {
namespace {

struct TempDir {
  TempDir() {
    std::string pattern = "/var/tmp/understudy-bench-XXXXXX";
    path = mkdtemp(pattern.data());
  }
  ~TempDir() {
    std::error_code error;
    std::filesystem::remove_all(path, error);
  }
  std::filesystem::path path;
};

double process_cpu_us() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) / 1e3;
}

/// Text as in a support request: a fixed prompt, and words drawn from a vocabulary, so that it compresses as text does
/// (level 1 leaves about a third of the drawn part).
std::string text_of(Random& random, std::size_t bytes, std::size_t fixed) {
  static const std::vector<std::string> words = [] {
    std::vector<std::string> all;
    SeededRandom r(1);
    for (int i = 0; i < 4000; ++i) {
      std::string word;
      const std::uint64_t n = 2 + r.below(9);
      for (std::uint64_t k = 0; k < n; ++k) word += static_cast<char>("etaoinshrdlucmfwypvbgkjqxz"[std::min(r.below(26), r.below(26))]);
      all.push_back(word);
    }
    return all;
  }();
  static const std::string prompt = [] {
    SeededRandom r(2);
    std::string all;
    while (all.size() < 4096) all += words[r.below(words.size())] + " ";
    return all;
  }();
  std::string text = prompt.substr(0, fixed);
  while (text.size() < bytes) text += words[std::min(random.below(words.size()), random.below(words.size()))] + " ";
  text.resize(bytes);
  return text;
}

/// A set of requests made beforehand: ids must not repeat, texts may.
struct Traffic {
  explicit Traffic(std::size_t body, std::size_t answer, std::size_t fixed = 0) {
    SeededRandom random(3);
    for (int i = 0; i < 512; ++i) {
      bodies.push_back(text_of(random, body, fixed));
      answers.push_back(text_of(random, answer, 0));
    }
    for (float& f : features) f = static_cast<float>(random.uniform());
  }
  AttemptEvent attempt(std::string_view id, std::size_t i, Stage stage) const {
    AttemptEvent e;
    e.request_id = id;
    e.stage = stage;
    e.attempt = stage == Stage::kTeacher;
    e.model = stage == Stage::kTeacher ? "teacher" : "student";
    e.upstream_model = "small-instruct";
    e.provider = "openai";
    e.status = 200;
    e.served = true;
    e.usage = Usage{.input = 512, .output = 48};
    e.usage_raw = R"({"prompt_tokens":512,"completion_tokens":48,"total_tokens":560})";
    e.cost = Picousd{70'350'000};
    e.latency_us = 1234;
    e.first_byte_us = 900;
    e.confidence = 0.93;
    e.feature_schema = 1;
    e.features = features;
    e.finish_reason = "stop";
    e.answer = answers[i % answers.size()];
    return e;
  }
  RequestEvent request(std::string_view id, std::size_t i) const {
    RequestEvent e;
    e.request_id = id;
    e.tenant = "acme";
    e.key = "support-bot";
    e.task = "ticket_intent";
    e.route = "/v1/chat/completions";
    e.cascade = "default";
    e.requested_model = "understudy/auto";
    e.mode = "live";
    e.policy_version = "f00dfeed";
    e.coin = {0.02, false};
    e.served_by = Stage::kStudent;
    e.served_model = "student";
    e.confidence = 0.93;
    e.threshold = 0.8;
    e.reason = "confident";
    e.complete = true;
    e.cost = Picousd{70'350'000};
    e.teacher_cost = Picousd{1'200'000'000};
    e.latency_us = 1300;
    e.overhead_us = 60;
    e.input_hash = i * 0x9E3779B97F4A7C15u;
    e.body = bodies[i % bodies.size()];
    return e;
  }
  ReservationEvent reservation(std::string_view id) const {
    ReservationEvent e;
    e.request_id = id;
    e.stage = Stage::kStudent;
    e.model = "student";
    e.reserved = Picousd{100'000'000};
    return e;
  }
  std::vector<std::string> bodies, answers;
  float features[24] = {};
};

/// Ids that sort by time, as the gateway's.
void set_id(std::string& id, std::uint64_t n) {
  static constexpr char kDigits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  id.assign("req_01KAZZZZZZZZZZZZZZZZZZZZZZ");
  std::uint64_t noise = n * 0x9E3779B97F4A7C15u;
  for (std::size_t i = 29; i >= 20; --i, noise >>= 5) id[i] = kDigits[noise & 31];
  for (std::size_t i = 19; i >= 12; --i, n >>= 5) id[i] = kDigits[n & 31];
}

/// One append of a request with a body of range(0) bytes, into segments that are ready; the writer stays behind on purpose.
void BM_AppendRequest(benchmark::State& state) {
  TempDir dir;
  StoreOptions options;
  options.journal_max_bytes = std::size_t{2} << 30;
  options.spare_segments = 200;
  options.batch_interval_ms = 1'000'000;
  const Traffic traffic(static_cast<std::size_t>(state.range(0)), 16);
  auto store = std::move(*Store::open(dir.path, options));
  std::string id;
  std::uint64_t n = 0, dropped = 0;
  for (auto _ : state) {
    set_id(id, ++n);
    dropped += !store->journal(0).append(traffic.request(id, n));
  }
  state.counters["dropped"] = static_cast<double>(dropped);
}
BENCHMARK(BM_AppendRequest)->Arg(0)->Arg(1024)->Arg(4096)->Arg(16384)->Iterations(20000);

void BM_EncodeRequest(benchmark::State& state) {
  const Traffic traffic(static_cast<std::size_t>(state.range(0)), 16);
  const FieldLimits limits = FieldLimits::of(2 << 20, true);
  std::vector<char> out(1 << 20);
  std::string id;
  set_id(id, 1);
  for (auto _ : state) {
    const RequestEvent e = traffic.request(id, 1);
    benchmark::DoNotOptimize(encoded_bound(e, limits));
    benchmark::DoNotOptimize(encode(e, limits, out.data()));
  }
}
BENCHMARK(BM_EncodeRequest)->Arg(0)->Arg(4096);

void BM_Crc32c(benchmark::State& state) {
  const std::string bytes(static_cast<std::size_t>(state.range(0)), 'x');
  for (auto _ : state) benchmark::DoNotOptimize(crc32c(bytes));
}
BENCHMARK(BM_Crc32c)->Arg(4096);

void BM_DecodeRequest(benchmark::State& state) {
  const Traffic traffic(2048, 16);
  const FieldLimits limits = FieldLimits::of(2 << 20, true);
  std::string id;
  set_id(id, 1);
  const RequestEvent e = traffic.request(id, 1);
  std::string bytes(encoded_bound(e, limits), '\0');
  bytes.resize(static_cast<std::size_t>(encode(e, limits, bytes.data()) - bytes.data()));
  RequestEvent back;
  std::vector<float> scratch;
  for (auto _ : state) benchmark::DoNotOptimize(decode(bytes, back, scratch));
}
BENCHMARK(BM_DecodeRequest);

/// The whole path: reservation, attempt and request of range(1) bytes in all, appended at full speed and durable in SQLite
/// (flushed, WAL synced as configured) at the end. CPU of all threads, per request.
void whole_path(benchmark::State& state, std::size_t body, std::size_t answer, std::size_t fixed, bool keep_bodies) {
  constexpr std::uint64_t kRequests = 50'000;
  const Traffic traffic(body, answer, fixed);
  std::string id;
  double cpu = 0, append_cpu = 0;
  std::uint64_t database = 0, rows = 0, dropped = 0;
  for (auto _ : state) {
    state.PauseTiming();
    TempDir dir;
    StoreOptions options;
    options.keep_bodies = keep_bodies;
    options.journal_max_bytes = std::size_t{32} << 20;  // the appender waits for the writer: segments are recycled, as in service
    auto store = std::move(*Store::open(dir.path, options));
    state.ResumeTiming();
    const double begin = process_cpu_us();
    Journal& journal = store->journal(0);
    for (std::uint64_t i = 0; i < kRequests; ++i) {
      set_id(id, i + 1);
      while (!journal.reserve(traffic.reservation(id))) usleep(500);
      while (!journal.append(traffic.attempt(id, i, Stage::kStudent))) usleep(500);
      while (!journal.append(traffic.request(id, i))) usleep(500);
    }
    append_cpu += process_cpu_us() - begin;
    if (!store->flush()) state.SkipWithError("flush failed");
    cpu += process_cpu_us() - begin;
    rows += store->stats().events_stored;
    dropped += store->stats().records_dropped;
    state.PauseTiming();
    store.reset();
    database = std::filesystem::file_size(dir.path / "store.sqlite");
    state.ResumeTiming();
  }
  const double requests = static_cast<double>(kRequests) * static_cast<double>(state.iterations());
  state.counters["cpu_us/request"] = cpu / requests;
  state.counters["rows/s"] = benchmark::Counter(static_cast<double>(rows), benchmark::Counter::kIsRate);
  state.counters["sqlite_bytes/request"] = static_cast<double>(database) / static_cast<double>(kRequests);
  state.SetItemsProcessed(static_cast<std::int64_t>(requests));
}
void BM_WholeNoBodies(benchmark::State& state) { whole_path(state, 0, 0, 0, false); }
void BM_Whole2k2k(benchmark::State& state) { whole_path(state, 2048, 2048, 0, true); }
void BM_Whole2k2kSharedPrompt(benchmark::State& state) { whole_path(state, 2048, 2048, 1536, true); }
void BM_Whole2kShortAnswer(benchmark::State& state) { whole_path(state, 2048, 200, 1536, true); }
BENCHMARK(BM_WholeNoBodies)->Unit(benchmark::kMillisecond)->UseRealTime()->Iterations(3);
BENCHMARK(BM_Whole2k2k)->Unit(benchmark::kMillisecond)->UseRealTime()->Iterations(3);
BENCHMARK(BM_Whole2k2kSharedPrompt)->Unit(benchmark::kMillisecond)->UseRealTime()->Iterations(3);
BENCHMARK(BM_Whole2kShortAnswer)->Unit(benchmark::kMillisecond)->UseRealTime()->Iterations(3);

/// A store of 50,000 requests as readers meet it.
struct ReadFixture {
  ReadFixture() {
    const Traffic traffic(2048, 200, 1536);
    StoreOptions options;
    options.journal_max_bytes = std::size_t{1} << 30;
    auto store = std::move(*Store::open(dir.path, options));
    std::string id;
    for (std::uint64_t i = 0; i < 50'000; ++i) {
      set_id(id, i + 1);
      while (!store->journal(0).append(traffic.attempt(id, i, Stage::kStudent))) usleep(500);
      while (!store->journal(0).append(traffic.request(id, i))) usleep(500);
    }
    (void)store->flush();
  }
  TempDir dir;
};
const ReadFixture& read_fixture() {
  static const ReadFixture fixture;
  return fixture;
}

void BM_Explain(benchmark::State& state) {
  auto reader = std::move(*StoreReader::open(read_fixture().dir.path));
  std::string id;
  SeededRandom random(4);
  for (auto _ : state) {
    set_id(id, 1 + random.below(50'000));
    benchmark::DoNotOptimize(reader.request(id));
  }
}
BENCHMARK(BM_Explain)->Unit(benchmark::kMicrosecond);

void BM_Status(benchmark::State& state) {
  auto reader = std::move(*StoreReader::open(read_fixture().dir.path));
  for (auto _ : state) benchmark::DoNotOptimize(reader.status());
}
BENCHMARK(BM_Status)->Unit(benchmark::kMicrosecond);

void BM_List50(benchmark::State& state) {
  auto reader = std::move(*StoreReader::open(read_fixture().dir.path));
  for (auto _ : state) benchmark::DoNotOptimize(reader.requests({}));
}
BENCHMARK(BM_List50)->Unit(benchmark::kMicrosecond);

/// A million requests of one task without texts, a tenth of them escalated and one in fifty spot-checked: what a curve is read from.
struct CurveFixture {
  CurveFixture() {
    const Traffic traffic(0, 0);
    StoreOptions options;
    options.keep_bodies = false;
    options.journal_max_bytes = std::size_t{256} << 20;
    auto store = std::move(*Store::open(dir.path, options));
    Journal& journal = store->journal(0);
    std::string id;
    for (std::uint64_t i = 0; i < 1'000'000; ++i) {
      set_id(id, i + 1);
      const bool escalated = i % 10 == 0, coin = i % 50 == 1;
      while (!journal.append(traffic.attempt(id, i, Stage::kStudent))) usleep(500);
      if (escalated) {
        while (!journal.append(traffic.attempt(id, i, Stage::kTeacher))) usleep(500);
      }
      RequestEvent request = traffic.request(id, i);
      request.escalated = escalated;
      request.coin.heads = coin;
      if (escalated) request.served_by = Stage::kTeacher;
      while (!journal.append(request)) usleep(500);
      if (!coin) continue;
      AttemptEvent label_call = traffic.attempt(id, i, Stage::kTeacher);
      label_call.off_path = true;
      label_call.served = false;
      while (!journal.append(label_call)) usleep(500);
      LabelEvent label;
      label.request_id = id;
      label.source = "coin";
      label.agrees = i % 1000 != 1;
      label.propensity = 0.02;
      while (!journal.append(label)) usleep(500);
    }
    (void)store->flush();
  }
  TempDir dir;
};

/// range(0): by time (0: all of it lies within minutes, so that every request is read) or by requests (1).
void BM_Curve(benchmark::State& state) {
  static const CurveFixture fixture;
  auto reader = std::move(*StoreReader::open(fixture.dir.path));
  CurveQuery query;
  query.task = "ticket_intent";
  query.by_requests = state.range(0) != 0;
  std::int64_t requests = 0;
  for (auto _ : state) {
    const auto curves = reader.curves(query);
    requests = 0;
    for (const CurvePoint& p : curves->front().points) requests += p.requests;
  }
  state.counters["requests"] = static_cast<double>(requests);
}
BENCHMARK(BM_Curve)->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace understudy::store
