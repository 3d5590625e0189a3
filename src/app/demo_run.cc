#include "app/demo_run.h"

#include <fmt/format.h>
#include <stdlib.h>

#include <thread>

#include "base/json_writer.h"
#include "calibration/compare.h"
#include "calibration/promise/keeper.h"
#include "cascade/promise.h"
#include "chat/answer.h"
#include "chat/price_book.h"
#include "net/client.h"
#include "net/reactor.h"
#include "net/timer.h"
#include "net/url.h"
#include "store/queries.h"

namespace understudy::app {
namespace {

namespace fs = std::filesystem;

constexpr int kStartTimeoutMs = 20'000;

std::string price_line(const ModelPrices& prices) {
  const CallPrices listed = prices.listed();
  // Picodollars per token are millionths of USD per 1M tokens.
  return fmt::format("price = {{ input = \"{}\", output = \"{}\" }}\n", format_ratio(*listed.in, 1'000'000, 6), format_ratio(*listed.out, 1'000'000, 6));
}

std::string configuration(const DemoData& data, const std::string& student, const std::string& teacher, const ModelPrices& student_price,
                          const ModelPrices& teacher_price) {
  return fmt::format(
      "[models.student]\nurl = \"http://{}/v1\"\nmodel = \"{}\"\n{}[models.teacher]\nurl = \"http://{}/v1\"\nmodel = \"{}\"\n{}"
      "[cascade.default]\nstages = [\"cache\", \"knn\", \"specialist\", \"student\", \"teacher\"]\nalpha = {}\ndelta = {}\nspot_check = 0.02\nlabel_budget_usd_per_day = 100.0\nlesson_budget_usd_per_day = 0\nlesson_budget_usd_per_day = 0.0\n[tasks.ticket_intent]\ncompare = \"json\"\n",
      student, data.student_model, price_line(student_price), teacher, data.teacher->model(), price_line(teacher_price), kDemoAlpha, kDemoDelta);
}

/// What one request's sender shares with the others.
struct Traffic {
  net::ClientPool& pool;
  net::ClientTarget& target;
  const DemoData& data;
  std::size_t next;
  std::size_t end;
  std::size_t done = 0;
  std::vector<std::string> answers;    ///< by position in the block; "" where none came
  std::optional<Error> error;
  const std::function<bool()>& stop;
  std::size_t rate = 0;
  MonoTime began;
};

net::Awaitable<void> sender(Traffic& traffic, std::size_t from) {
  while (traffic.next < traffic.end && !traffic.stop()) {
    if (traffic.rate > 0) {
      // The n-th request goes out no sooner than its turn.
      net::Reactor& reactor = traffic.pool.reactor();
      const auto turn_ms = static_cast<std::int64_t>((traffic.next - from) * 1'000 / traffic.rate);
      const std::int64_t now_ms = (reactor.now().ns - traffic.began.ns) / 1'000'000;
      if (now_ms < turn_ms) {
        co_await net::sleep_for(reactor, std::min<std::int64_t>(turn_ms - now_ms, 50));
        continue;
      }
    }
    const std::size_t index = traffic.next++;
    const DemoRequest& demo = traffic.data.requests[index];
    std::array<net::Field, 3> fields{net::Field{"content-type", "application/json"}, net::Field{"x-request-id", demo.id},
                                     net::Field{"x-understudy-task", "ticket_intent"}};
    const std::array<std::string_view, 1> body{demo.body};
    net::ClientRequest request("POST", "/chat/completions", fields, body);
    request.deadline = net::Deadline::after_ms(traffic.pool.reactor().now(), 120'000);
    auto response = co_await traffic.pool.send(traffic.target, request);
    if (!response) {
      traffic.error = response.error();
    } else {
      auto text = co_await response->read_all();
      if (text && response->status() == 200) {
        if (const auto answer = chat::parse_answer(*text)) traffic.answers[index - from] = chat::answer_text(*answer);
      } else if (!text) {
        traffic.error = text.error();
      }
    }
    ++traffic.done;
  }
}

}  // namespace

void DemoBlock::add(const DemoBlock& other) {
  for (std::size_t i = 0; i < served_by.size(); ++i) served_by[i] += other.served_by[i];
  failed += other.failed;
  teacher_calls += other.teacher_calls;
  student_missing += other.student_missing;
  cheap += other.cheap;
  cheap_agree += other.cheap_agree;
  cost += other.cost;
  teacher_only += other.teacher_only;
  cost_unknown += other.cost_unknown;
}

struct DemoRun::Impl {
  const DemoData& data;
  DemoOptions options;
  fs::path folder;
  std::string address;
  const ModelPrices* teacher_price = nullptr;
  std::size_t promise_told = 0;   ///< events of promise_news() so far
  // Ended in this order: first the gateway, then its upstreams.
  ChildProcess teacher, student, gateway;

  explicit Impl(const DemoData& d) : data(d) {}
  ~Impl() {
    gateway.stop();
    student.stop();
    teacher.stop();
    std::error_code code;
    if (!folder.empty()) fs::remove_all(folder, code);
  }

  Result<std::string> start_child(ChildProcess& child, std::vector<std::string> args, const std::string& name);
  Result<DemoBlock> figures(std::size_t from, std::size_t to, const std::vector<std::string>& answers);
  Result<void> wait_for_labels(std::size_t from, std::size_t to);
};

Result<std::string> DemoRun::Impl::start_child(ChildProcess& child, std::vector<std::string> args, const std::string& name) {
  const fs::path port_file = folder / (name + ".address");
  const fs::path log = folder / (name + ".log");
  args.insert(args.end(), {"--port-file", port_file.string()});
  auto started = ChildProcess::start(args, log);
  if (!started) return fail(std::move(started.error()));
  child = std::move(*started);
  return wait_for_line(port_file, child, log, kStartTimeoutMs);
}

DemoRun::DemoRun(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
DemoRun::~DemoRun() = default;
const std::string& DemoRun::address() const { return impl_->address; }
std::string DemoRun::data_directory() const { return (impl_->folder / "data").string(); }

Result<std::unique_ptr<DemoRun>> DemoRun::start(const DemoData& data, DemoOptions options) {
  auto impl = std::make_unique<Impl>(data);
  impl->options = options;
  std::string pattern = (fs::temp_directory_path() / "understudy-demo-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) return fail(ErrorKind::kIo, fmt::format("Cannot make a directory in '{}'.", fs::temp_directory_path().string()));
  impl->folder = pattern;

  const PriceBook& book = PriceBook::embedded();
  const ModelPrices* student_price = book.find("", data.student_price_model);
  impl->teacher_price = book.find("", data.teacher_price_model);
  for (const auto& [price, name] : {std::pair{student_price, &data.student_price_model}, std::pair{impl->teacher_price, &data.teacher_price_model}}) {
    if (price == nullptr || !price->listed().in || !price->listed().out) {
      return fail(ErrorKind::kConfig, fmt::format("prices.json names '{}', whose price the price book does not know.", *name));
    }
  }

  const auto replay = [&](const std::vector<std::string>& files) {
    std::vector<std::string> args{"replay"};
    args.insert(args.end(), files.begin(), files.end());
    args.insert(args.end(), {"--listen", "127.0.0.1:0"});
    if (options.fast) args.emplace_back("--fast");
    return args;
  };
  auto student = impl->start_child(impl->student, replay({data.student_file.string()}), "student");
  if (!student) return fail(std::move(student.error()));
  auto teacher = impl->start_child(impl->teacher, replay(data.teacher_files), "teacher");
  if (!teacher) return fail(std::move(teacher.error()));
  const fs::path config = impl->folder / "understudy.toml";
  if (auto written = write_file_atomically(config, configuration(data, *student, *teacher, *student_price, *impl->teacher_price)); !written) {
    return fail(std::move(written.error()));
  }
  auto address = impl->start_child(impl->gateway,
                                   {"serve", "--config", config.string(), "--listen", fmt::format("127.0.0.1:{}", options.port), "--data",
                                    (impl->folder / "data").string(), "--workers", "1"},
                                   "gateway");
  if (!address) return fail(std::move(address.error()));
  impl->address = *address;
  return std::unique_ptr<DemoRun>(new DemoRun(std::move(impl)));
}

Result<void> DemoRun::Impl::wait_for_labels(std::size_t from, std::size_t to) {
  // Spot checks run off the users' path: give the last ones time to come in. A request whose coin fell is complete when
  // the teacher was asked, on the path or off it.
  for (int waited_ms = 0; waited_ms < 10'000; waited_ms += 100) {
    auto reader = store::StoreReader::open(folder / "data");
    if (!reader) return fail(std::move(reader.error()));
    bool complete = true;
    std::size_t seen = 0;
    store::StoreReader::ScanOptions all;
    auto scanned = reader->scan(all, [&](const store::RequestDetail& detail) {
      const std::size_t number = static_cast<std::size_t>(std::strtoull(detail.request.request_id.c_str() + 1, nullptr, 10));
      if (number < from || number > to) return true;
      ++seen;
      if (!detail.request.coin_heads) return true;
      bool asked = false;
      for (const auto& attempt : detail.attempts) asked = asked || attempt.stage == Stage::kTeacher;
      complete = complete && asked;
      return true;
    });
    if (!scanned) return fail(std::move(scanned.error()));
    if (complete && seen == to - from + 1) return {};
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return {};
}

Result<DemoBlock> DemoRun::Impl::figures(std::size_t from, std::size_t to, const std::vector<std::string>& answers) {
  if (auto settled = wait_for_labels(from, to); !settled) return fail(std::move(settled.error()));
  DemoBlock block;
  block.from = from;
  block.to = to;
  const CallPrices teacher_prices = teacher_price->listed();
  calibration::ComparatorSpec json;
  json.comparator = calibration::Comparator::kJson;
  for (std::size_t number = from; number <= to; ++number) {
    const providers::RecordedAnswer* recorded = data.teacher->find(data.requests[number - 1].text);
    if (recorded == nullptr || !recorded->usage) return fail(ErrorKind::kCorrupt, fmt::format("The teacher's recording lacks request {}.", data.requests[number - 1].id));
    const auto cost = teacher_prices.cost(*recorded->usage);
    if (cost) block.teacher_only += *cost;
  }
  auto reader = store::StoreReader::open(folder / "data");
  if (!reader) return fail(std::move(reader.error()));
  store::StoreReader::ScanOptions all;
  auto scanned = reader->scan(all, [&](const store::RequestDetail& detail) {
    const std::size_t number = static_cast<std::size_t>(std::strtoull(detail.request.request_id.c_str() + 1, nullptr, 10));
    if (number < from || number > to) return true;
    for (const auto& attempt : detail.attempts) {
      if (attempt.stage == Stage::kTeacher) ++block.teacher_calls;
      if (attempt.stage == Stage::kStudent && attempt.status == 404) {
        ++block.student_missing;
        continue;   // nothing was answered, so nothing is charged
      }
      if (attempt.cost) {
        block.cost += *attempt.cost;
      } else {
        ++block.cost_unknown;
      }
    }
    if (!detail.request.served_by) {
      ++block.failed;
      return true;
    }
    ++block.served_by[static_cast<std::size_t>(*detail.request.served_by)];
    if (*detail.request.served_by != Stage::kTeacher) {
      ++block.cheap;
      const providers::RecordedAnswer* recorded = data.teacher->find(data.requests[number - 1].text);
      if (calibration::agrees(json, answers[number - from], recorded->answer)) ++block.cheap_agree;
    }
    return true;
  });
  if (!scanned) return fail(std::move(scanned.error()));
  return block;
}

Result<std::vector<std::string>> DemoRun::promise_news() {
  auto reader = store::StoreReader::open(impl_->folder / "data");
  if (!reader) return fail(std::move(reader.error()));
  auto events = reader->promise_events(cascade::promise_key("default", "ticket_intent"));
  if (!events) return fail(std::move(events.error()));
  std::vector<std::string> news;
  for (; impl_->promise_told < events->size(); ++impl_->promise_told) {
    const auto event = calibration::parse_keeper_event((*events)[impl_->promise_told].detail);
    if (!event) return fail(event.error());
    using Kind = calibration::KeeperEventKind;
    if (event->kind == Kind::kSwitch) news.push_back("proven: " + event->message);
    if (event->kind == Kind::kOutcome && !event->passed) news.push_back("tested: " + event->message);
    if (event->kind == Kind::kAlarm) news.push_back("ALARM: " + event->message);
  }
  return news;
}

Result<bool> DemoRun::send(const std::function<void(std::size_t)>& progress, const std::function<void(const DemoBlock&)>& finished,
                           const std::function<bool()>& stop) {
  auto reactor = net::Reactor::create();
  if (!reactor) return fail(std::move(reactor.error()));
  auto url = net::parse_url("http://" + impl_->address + "/v1");
  if (!url) return fail(std::move(url.error()));
  net::ClientOptions client;
  client.pool_size = impl_->options.concurrency;
  net::ClientPool pool(**reactor, client);
  net::ClientTarget& target = pool.target(*url);

  const std::size_t total = impl_->data.requests.size();
  for (std::size_t begin = 0; begin < total;) {
    // A remainder joins the last block.
    std::size_t end = std::min(total, begin + impl_->options.block);
    if (total - end < impl_->options.block) end = total;
    Traffic traffic{pool, target, impl_->data, begin, end, 0, std::vector<std::string>(end - begin), {}, stop, impl_->options.rate, (*reactor)->now()};
    net::TaskGroup group(**reactor);
    for (std::size_t i = 0; i < impl_->options.concurrency; ++i) group.spawn(sender(traffic, begin));
    while (group.size() > 0) {
      net::block_on(**reactor, [](net::Reactor& r) -> net::Awaitable<void> { co_await net::sleep_for(r, 100); }(**reactor));
      progress(begin + traffic.done);
    }
    if (stop()) return false;
    if (traffic.error) return fail(std::move(*traffic.error));
    auto block = impl_->figures(begin + 1, end, traffic.answers);
    if (!block) return fail(std::move(block.error()));
    finished(*block);
    begin = end;
  }
  return true;
}

}  // namespace understudy::app
